"""Buffered asynchronous aggregation through real clients, on the simulated clock."""

import json
import math

import numpy as np
import pytest
from flwr.app import Error, Message

from frugalfl import wire
from frugalfl.blocks import Layout
from frugalfl.codec import encode_frame, parse_codec
from frugalfl.energy import SERVER, totals
from frugalfl.errors import FederationError
from frugalfl.modules import read_parameters
from frugalfl.settings import Settings
from frugalfl.task import load_task
from frugalfl_client.app import app as client_app
from frugalfl_server.phases.federation import Federation
from frugalfl_server.phases.initial_model import initial_model
from frugalfl_server.phases.train import train
from frugalfl_server.run.directory import RunDirectory
from frugalfl_sim.engine.grid import InProcessGrid

from .conftest import DIGITS, SMALL, frugalfl
from .rounds import digits

CLIENTS = 6


def small(**changes):
    return Settings.of(
        **{
            "clients": CLIENTS, "clients_per_round": 3, "rounds": 4, "local_epochs": 1,
            "prune": 0.0, "initial": "seeded", "asynchronous": "buffered(2)",
            "delays": "1 s * 2, 4 s",
        }
        | changes
    )  # fmt: skip


def federate(settings, folder, client=client_app, capsys=None):
    """Train; return the run, its model, and what was said meanwhile."""
    with digits():
        task = load_task(settings.run.task)
        run = RunDirectory.create(folder, task.name, settings, DIGITS)
        grid = InProcessGrid(
            client, settings.simulation.clients, settings.as_config(), run.path / "devices"
        )
        module = train(Federation(grid, settings, task, run, quiet=capsys is None))
    said = capsys.readouterr().err if capsys else ""
    return run, read_parameters(module), said


def alike(one, other):
    return all((one[name] == other[name]).all() for name in one)


def test_the_same_seed_gives_the_same_bits(tmp_path):
    first, model, _ = federate(small(), tmp_path / "first")
    again, same, _ = federate(small(), tmp_path / "again")
    _, other, _ = federate(small(seed=1), tmp_path / "other")
    assert alike(model, same)
    assert not alike(model, other)

    def figures(run):
        return [(r.accuracy, r.clients, r.uplink_bytes, r.simulated_s) for r in run.rounds]

    assert figures(first) == figures(again)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"strategy": "fedadam(0.01)", "refresh": "alternate(full, last(2))"},
        {"uplink": "feedback | topk(5%) | sign | golomb", "initial": "exact"},
    ],
)
def test_one_client_and_a_buffer_of_one_are_synchronous(tmp_path, changes):
    alone = {"clients": 1, "clients_per_round": 1} | changes
    buffered, model, _ = federate(small(asynchronous="buffered(1)", **alone), tmp_path / "buffered")
    rounds, same, _ = federate(small(asynchronous="", **alone), tmp_path / "rounds")
    assert alike(model, same)
    for one, other in zip(buffered.rounds, rounds.rounds, strict=True):
        assert (one.round, one.accuracy, one.loss) == (other.round, other.accuracy, other.loss)
        assert one.uplink_bytes == other.uplink_bytes
        assert one.downlink_bytes == other.downlink_bytes
        assert one.simulated_s == other.simulated_s == 1


def test_a_step_does_not_wait_for_the_slow(tmp_path):
    changes = {"clients_per_round": CLIENTS, "rounds": 3}
    buffered, _, _ = federate(small(asynchronous="buffered(4)", **changes), tmp_path / "buffered")
    rounds, _, _ = federate(small(asynchronous="", **changes), tmp_path / "rounds")
    assert [record.simulated_s for record in rounds.rounds] == [4, 4, 4]
    # Four quick clients make each step; the two slow ones come as the last one is made.
    assert [record.simulated_s for record in buffered.rounds] == [1, 1, 2]
    assert [record.updates for record in buffered.rounds] == [4, 4, 4]


class Ones:
    """Devices whose every weight goes up by one, exactly."""

    def __init__(self, settings):
        with digits():
            self._model = read_parameters(load_task(settings.run.task).new_model())
        self.asked = []

    def __call__(self, message, context):
        request = wire.unpack_request(message)
        self.asked.append((context.node_config["partition-id"], request.version))
        step = {name: np.ones_like(tensor) for name, tensor in self._model.items()}
        frame, _ = encode_frame(
            parse_codec("raw"), Layout.of(step), step, base=request.version, version=request.version
        )
        reply = wire.TrainReply(request.version, frame, samples=7)
        return Message(wire.pack_reply(reply), reply_to=message)


#: A quick client, one that takes three times as long, and an update makes a step.
PAIR = {
    "clients": 2, "clients_per_round": 2, "rounds": 5, "uplink": "raw", "downlink": "raw",
    "delays": "1 s, 3 s", "initial": "exact",
}  # fmt: skip


def moves(settings, folder, client, capsys=None):
    """Return the run, by how much all steps together moved the model, and what was said."""
    run, model, said = federate(settings, folder, client, capsys)
    with digits():
        start = read_parameters(initial_model(load_task(settings.run.task), settings))
    return run, float((model["0.bias"] - start["0.bias"]).mean()), said


def test_a_late_update_counts_for_less(tmp_path):
    settings = small(asynchronous="buffered(1)", **PAIR)
    client = Ones(settings)
    run, moved, _ = moves(settings, tmp_path, client)
    # At 1 s and 2 s the quick client steps. At 3 s both are there: the slow one, asked first, is
    # two steps behind, and the quick one then one. At 4 s the quick one is on time again, or the
    # slow one is still away.
    assert math.isclose(moved, 3 + 1 / math.sqrt(3) + 1 / math.sqrt(2), rel_tol=1e-3)
    assert [record.simulated_s for record in run.rounds[:4]] == [1, 1, 1, 0]
    half = small(asynchronous="buffered(1, step 0.5)", **PAIR)
    assert math.isclose(moves(half, tmp_path, client)[1], moved / 2, rel_tol=1e-3)


def test_an_update_beyond_the_bound_is_named_and_left_out(tmp_path, capsys):
    settings = small(asynchronous="buffered(1, staleness 1)", **PAIR)
    run, moved, said = moves(settings, tmp_path, Ones(settings), capsys)
    assert math.isclose(moved, 5, rel_tol=1e-3)
    assert (
        "client 1 (node 1001): its update is 2 steps of the model old, and at most 1 are taken"
        in said
    )
    assert [record.updates for record in run.rounds] == [1] * 5


@pytest.mark.parametrize(
    "changes",
    [
        {"private": "8", "refresh": "alternate(full, last(2))"},
        {"uplink": "feedback(decay 0.9) | topk(5%) | sign | golomb", "strategy": "fedavgm(0.5)"},
        {"trainer": "torch", "strategy": "fedprox(0.1)", "refresh": "random(0.5)"},
    ],
)
def test_what_clients_spend_is_all_counted(tmp_path, changes, capsys):
    settings = small(asynchronous="buffered(2)", **changes)
    run, _, said = federate(settings, tmp_path, capsys=capsys)
    assert "warning" not in said
    clients = [record for record in run.energy if record.client != "server"]
    assert sum(r.uplink_bytes for r in run.rounds) == sum(r.uplink_bytes or 0 for r in clients)
    assert sum(r.downlink_bytes for r in run.rounds) == sum(r.downlink_bytes or 0 for r in clients)
    uploads = [record for record in clients if record.phase == "upload"]
    assert len(uploads) == len(run.heads) == sum(record.clients for record in run.rounds)
    # Those who were still at work at the end have been waited for, and their updates left out.
    assert 0 < len(uploads) - sum(record.updates for record in run.rounds) < 3


def test_a_failing_client_costs_its_own_contribution(tmp_path, capsys):
    def failing(message, context):
        if context.node_config["partition-id"] == 0:
            return Message(Error(1, "out of memory"), reply_to=message)
        return client_app(message, context)

    run, _, said = federate(small(), tmp_path, failing, capsys)
    assert [record.updates for record in run.rounds] == [2] * 4
    assert "client 0 (node 1000): out of memory" in said


def test_where_every_client_fails_the_run_says_so(tmp_path):
    def failing(message, context):
        return Message(Error(1, "out of memory"), reply_to=message)

    with pytest.raises(FederationError, match="3 clients could not train.*out of memory"):
        federate(small(), tmp_path, failing)


def test_a_buffer_of_more_than_all_clients_takes_what_there_is(tmp_path):
    run, _, _ = federate(small(asynchronous="buffered(99)", rounds=2), tmp_path)
    assert [record.updates for record in run.rounds] == [CLIENTS, CLIENTS]


def test_limits_end_it(tmp_path, capsys):
    reached, _, said = federate(small(rounds=9, stop_accuracy=0.01), tmp_path / "a", capsys=capsys)
    assert len(reached.rounds) == 3
    assert "train ended after 3 of 9 rounds: accuracy" in said
    spent, _, said = federate(small(rounds=9, energy_budget=1e-6), tmp_path / "b", capsys=capsys)
    assert "0 of 6 clients may still be asked: 6 at the end of energy-budget" in said
    assert sum(record.clients for record in spent.rounds) <= CLIENTS


@pytest.mark.slow
def test_a_whole_run_prunes_recovers_and_exports(tmp_path):
    result = frugalfl(
        "simulate", DIGITS, *SMALL, "asynchronous=buffered(3)", "delays=1 s * 3, 10 s",
        "--baseline", cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "warning" not in result.stderr
    assert "s simulated" in result.stderr
    run = tmp_path / "runs" / "latest"
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["rounds"], summary["recover_rounds"], summary["updates"]) == (6, 3, 27)
    assert summary["accuracy_int8"] is not None
    assert summary["baseline"]["simulated_s"] > summary["simulated_s"] / 2 > 0
    energy = [record for record in RunDirectory.open(run).energy if record.client != SERVER]
    assert summary["uplink_bytes"] == sum(record.uplink_bytes for record in energy)
    assert summary["downlink_bytes"] == sum(record.downlink_bytes for record in energy)
    assert math.isclose(summary["energy_j"]["estimated"], totals(energy).estimated_j)
    assert "wall time with the simulated delays" in (run / "report.html").read_text()
    assert frugalfl("energy", "verify", run, cwd=tmp_path).returncode == 0
