"""What one client-update's parts cost each: a message, a frame, the energy records, a step."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg

from frugalfl import wire
from frugalfl.blocks import Layout, Parameters
from frugalfl.codec import Limits, decode_frame, encode_frame, parse_codec
from frugalfl.energy.record import EnergyRecord
from frugalfl.settings import Settings
from frugalfl_server.rounds.flower_arrays import pack
from frugalfl_server.rounds.strategy import FrugalStrategy
from frugalfl_server.run.directory import RunDirectory
from frugalfl_sim.engine.grid import InProcessGrid
from simulating.workload import first_model

COHORT = 20
#: As an update of a round that has found its step: `stochastic(auto)` becomes one such.
_UPLINK = "stochastic(16 sigma) | range"


def least_us(call: Callable[[], Any], seconds: float, of: int = 1) -> float:
    """Return the least processor time of a call (µs), divided by ``of``."""
    call()
    times, until = [], time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < until:
        start = time.process_time_ns()
        call()
        times.append(time.process_time_ns() - start)
    return min(times) / 1000 / of


def costs(run: Path, seconds: float) -> dict[str, float]:
    """Measure them.

    Args:
        run: A run of the app benchmarks/tasks/digits_mlp, whose records are taken.
        seconds: How long each is tried.

    Returns:
        Microseconds of processor time for one client-update, both ends together: ``message_us``,
        ``frame_us``, ``record_us`` (all of its records), and how many ``records`` it has.
    """
    records = _records_of(run)
    update = _update()
    frame = _frame(update)
    message_us = _message_us(
        seconds, frame
    )  # first: its grid tells Flower whose messages these are
    with_records, without = (
        _pack_and_read(wire.TrainReply(1, frame, 18, 1.0, given)) for given in (records, ())
    )
    told = least_us(with_records, seconds)
    return {
        "message_us": message_us,
        "frame_us": _frame_us(update, frame, seconds),
        "record_us": max(told - least_us(without, seconds), 0.0),
        "records": len(records),
        "frame_bytes": len(frame),
    }


def _records_of(run: Path) -> tuple[EnergyRecord, ...]:
    """Return the records of one client and round of a run."""
    kept = [one for one in RunDirectory.open(run).energy if one.client != "server"]
    last = kept[-1]
    return tuple(one for one in kept if (one.client, one.round) == (last.client, last.round))


def _update() -> Parameters:
    rng = np.random.default_rng(0)
    return {
        name: (rng.standard_normal(value.shape) * 0.01).astype(np.float32)
        for name, value in first_model().items()
    }


def _frame(update: Parameters) -> bytes:
    return encode_frame(parse_codec(_UPLINK), Layout.of(update), update, base=1, version=1, seed=1)[
        0
    ]


def _frame_us(update: Parameters, frame: bytes, seconds: float) -> float:
    limits = Limits.of(Layout.of(update))
    return least_us(lambda: _frame(update), seconds) + least_us(
        lambda: decode_frame(frame, limits), seconds
    )


def _pack_and_read(reply: wire.TrainReply) -> Callable[[], Any]:
    asked = Message(RecordDict(), 1, "train")

    def call() -> wire.TrainReply:
        return wire.unpack_reply(Message(wire.pack_reply(replace(reply)), reply_to=asked))

    return call


def _message_us(seconds: float, frame: bytes) -> float:
    """Return the cost of a real question and a real answer on the grid, with nothing in between."""
    app = ClientApp()

    @app.train()
    def answer(message: Message, context: Context) -> Message:
        return Message(wire.pack_reply(wire.TrainReply(1, frame, 18, 1.0)), reply_to=message)

    grid = InProcessGrid(app, COHORT, {}, Path("."))
    settings = Settings.of(clients=COHORT, clients_per_round=COHORT, refresh="full")
    inner = FedAvg(fraction_evaluate=0.0, min_train_nodes=COHORT, min_available_nodes=COHORT)
    strategy = FrugalStrategy.wrap(inner, settings)
    model = pack(first_model())
    sent = list(strategy.configure_train(1, model, ConfigRecord(), grid))
    return least_us(lambda: list(grid.send_and_receive(sent)), seconds, of=len(sent))
