"""A server's work for a round depends on who is asked, and not on how many there are."""

import hashlib
import random
import sys
import time

import numpy as np
from flwr.app import ConfigRecord, Message
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg

from frugalfl import wire
from frugalfl.blocks import Layout
from frugalfl.codec import encode_frame, parse_codec
from frugalfl.energy import EnergyRecord
from frugalfl.energy.hash_chain import genesis, link, proven
from frugalfl.energy.reading import Reading
from frugalfl.energy.record_json import to_text
from frugalfl.settings import Settings
from frugalfl_server.cohort.clients import Clients
from frugalfl_server.cohort.quarantine import quarantine_of
from frugalfl_server.exchange.deadlines import RoundGrid
from frugalfl_server.rounds.flower_arrays import pack
from frugalfl_server.rounds.strategy import FrugalStrategy
from frugalfl_server.run.checkpoint import write_checkpoint
from frugalfl_server.run.directory import RunDirectory
from frugalfl_sim.engine.grid import InProcessGrid

COHORT, ROUNDS = 8, 30
MODEL = {
    "0.weight": np.zeros((6, 5), np.float32), "0.bias": np.zeros(6, np.float32),
    "2.weight": np.zeros((3, 6), np.float32), "2.bias": np.zeros(3, np.float32),
}  # fmt: skip
CPU = Reading("cpu", 0.25, None, False, "cpu-time", "generic", "process", 0.5)


def clients_that_draw():
    """Return a ClientApp that sends noise for an update, and keeps a ledger as devices do."""
    app, heads, layout = ClientApp(), {}, Layout.of(MODEL)

    @app.train()
    def train(message, context):
        request = wire.unpack_request(message)
        number = str(context.node_config["partition-id"])
        draw = np.random.default_rng([int(number), request.round])
        update = {name: draw.normal(size=t.shape).astype(np.float32) for name, t in MODEL.items()}
        frame, _ = encode_frame(
            parse_codec(request.uplink), layout, update, base=request.version,
            version=request.version, seed=int(number),
        )  # fmt: skip
        record = EnergyRecord(
            request.run, number, request.round, "train", "generic", round(time.time(), 3), 0.001,
            0.001, (CPU,), samples=4,
        )  # fmt: skip
        ledger = hashlib.sha256(number.encode()).digest()
        heads[number] = link(heads.get(number, genesis(ledger)), to_text(record))
        told = proven(ledger, heads[number])
        reply = wire.TrainReply(request.version, frame, 4, 1.0, (record,), told)
        return Message(wire.pack_reply(reply), reply_to=message)

    return app


class Calls:
    """Counts calls of Python functions, and of those in C, while the block lasts."""

    def __enter__(self):
        self.count = 0
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)

    def _note(self, frame, event, argument):
        self.count += event in ("call", "c_call")


def calls_of_a_round(clients, folder):
    """Run rounds among so many clients; return the fewest calls that one took on the server."""
    settings = Settings().changed(clients=clients, clients_per_round=COHORT)
    inner = InProcessGrid(clients_that_draw(), clients, settings.as_config(), folder / "devices")
    grid = RoundGrid(inner, COHORT)
    known = Clients(quarantine=quarantine_of(settings))
    strategy = FrugalStrategy.wrap(FedAvg(fraction_evaluate=0.0), settings, known)
    run = RunDirectory.create(folder, "noise", settings, None)
    arrays, counts = pack(MODEL), []
    random.seed(3)
    for number in range(1, ROUNDS + 1):
        with Calls() as before:
            messages = list(strategy.configure_train(number, arrays, ConfigRecord(), grid))
        replies = list(grid.send_and_receive(messages))
        with Calls() as after:
            moved, _ = strategy.aggregate_train(number, replies)
            parts, traffic = strategy.parts, strategy.traffic
            run.add_round(traffic.record("train"), traffic.energy, traffic.heads)
            known.identities.write(run)
            tree = {"parts": parts.state(), "downlink": parts.downlink.state(),
                    "who": known.identities.state(), "aside": known.quarantine.state(),
                    "tables": run.position()}  # fmt: skip
            write_checkpoint(folder / "resume.npz", tree)
        assert traffic.updates == COHORT and len(traffic.heads) == COHORT
        arrays = arrays if moved is None else moved
        counts.append(before.count + after.count)
    return min(counts[ROUNDS // 2 :])  # once many are known


def test_a_rounds_work_is_the_same_among_forty_times_as_many(tmp_path):
    few = calls_of_a_round(30, tmp_path / "few")
    many = calls_of_a_round(1200, tmp_path / "many")
    assert many < 1.1 * few
