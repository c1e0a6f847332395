"""Clients that lie about their update: what they cost, and what keeps the model from them."""

import numpy as np
import pytest
from flwr.app import Message
from lies import ATTACKS, attacking
from logged import Lines

from frugalfl.errors import FederationError, FrugalFLError
from frugalfl.modules import write_parameters
from frugalfl.settings import Settings
from frugalfl.task import load_task
from frugalfl_client.app import app as client_app
from frugalfl_server.phases.federation import Federation
from frugalfl_server.phases.train import train
from frugalfl_server.report.client_rows import client_rows
from frugalfl_server.report.run_facts import read_facts
from frugalfl_server.rounds.evaluate import accuracy
from frugalfl_server.rounds.flower_strategies import strategy_of
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.open_run import open_run
from frugalfl_server.run.summary import of_run
from frugalfl_sim.engine.grid import InProcessGrid

from .rounds import Rounds, digits

CLIENTS, ROUNDS, BAD = 10, 5, (0, 1)
#: Robust strategies learn more slowly.
ENOUGH = 10
#: An uplink that leaves the robust strategies something to compare.
FINE = {"uplink": "float16 | zstd", "downlink": "zstd", "local_epochs": 2}


def hostile(tmp_path, app, rounds=ROUNDS, **settings):
    """Run a few rounds; return them, and the accuracy at their end."""
    chosen = Settings.of(
        clients=CLIENTS, clients_per_round=CLIENTS, rounds=ENOUGH, **FINE | settings
    )
    with digits(), np.errstate(all="ignore"):
        run = Rounds(chosen, tmp_path, client=app, inner=strategy_of(chosen))
        for _ in range(rounds):
            run.next()
        module = run.task.new_model()
        write_parameters(module, run.model)
        return run, accuracy(module, run.task.public_rows().test)


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """What the same rounds reach where nobody lies."""
    return hostile(tmp_path_factory.mktemp("honest"), client_app, ENOUGH)


FLIPPED = ATTACKS["sign flipped, x10"]


def test_two_of_ten_ruin_a_plain_mean(honest, tmp_path):
    try:
        _, score = hostile(tmp_path, attacking(FLIPPED, BAD), norm_bound=0, set_aside="never")
    except FrugalFLError:
        score = 0.1  # nobody can train on such a model any more: a guess
    assert honest[1] > 0.8
    assert score < honest[1] - 0.4


@pytest.mark.parametrize(
    ("strategy", "bound"),
    [
        ("fedavg", 5),
        pytest.param("fedmedian", 0, marks=pytest.mark.slow),
        pytest.param("multikrum(2, 6)", 0, marks=pytest.mark.slow),
    ],
)
def test_but_not_with_the_bound_or_a_robust_strategy(honest, tmp_path, strategy, bound):
    app = attacking(FLIPPED, BAD)
    run, score = hostile(
        tmp_path, app, ENOUGH, strategy=strategy, norm_bound=bound, set_aside="never"
    )
    assert score > honest[1] - 0.15
    refused = sum(traffic.far for traffic in run.traffic)
    # A lie of hardly more than the usual length may pass now and then.
    assert refused >= 1.6 * ENOUGH if bound else refused == 0


@pytest.mark.parametrize("strategy", ["fedavg", "fedmedian"])
def test_what_is_refused_leaves_no_trace(tmp_path, strategy):
    """The model's bits are those of rounds in which these clients had not answered at all."""

    def silent(message, context):
        if context.node_config["partition-id"] in BAD:
            return Message(_gone(), reply_to=message)
        return client_app(message, context)

    ends = []
    for place, app in enumerate((attacking(ATTACKS["NaN"], BAD), attacking(_huge, BAD), silent)):
        run, _ = hostile(tmp_path / str(place), app, rounds=2, strategy=strategy)
        assert [traffic.updates for traffic in run.traffic] == [CLIENTS - 2] * 2
        ends.append(run.model)
    for name, tensor in ends[2].items():
        assert np.array_equal(ends[0][name], tensor)
        assert np.array_equal(ends[1][name], tensor)


def _huge(number, update):
    return {name: step + np.float32(1e9) for name, step in update.items()}


def _gone():
    from flwr.app import Error

    return Error(3, "no battery")


def test_honest_updates_are_never_too_long(honest):
    run, _ = honest
    assert [traffic.updates for traffic in run.traffic] == [CLIENTS] * ENOUGH
    assert run.warnings == []


def test_rows_that_nobody_has_do_not_weigh(tmp_path):
    def boasting(message, context):
        reply = client_app(message, context)
        if context.node_config["partition-id"] in BAD:
            reply.content["metrics"]["num-examples"] = 1 << 31
        return reply

    run, _ = hostile(tmp_path, boasting, rounds=2)
    rows = [run.task.client_data(n, CLIENTS).y.size for n in range(2, CLIENTS)]
    assert sum("2147483648 rows" in warning for warning in run.warnings) == 2  # once each
    assert int(run.warnings[0].split()[-1]) <= 10 * max(rows)


def test_who_keeps_sending_garbage_is_named_and_not_asked(tmp_path):
    app = attacking(ATTACKS["NaN"], (4,))
    run, _ = hostile(tmp_path, app, set_aside="after(2, 2)")
    # Wrong twice, aside for two rounds, asked again on trial, aside again.
    assert [t.clients for t in run.traffic] == [10, 10, 9, 9, 10]
    assert [t.set_aside for t in run.traffic] == [0, 0, 1, 1, 0]
    (first, second) = [w for w in run.warnings if "set aside" in w]
    assert first.startswith("node 1004 is set aside for 2 rounds: ") and "NaN" in first
    assert second.startswith("node 1004")
    assert [one.round for one in run.quarantine.exclusions] == [2, 5]


def test_a_device_in_trouble_is_asked_again_and_again(tmp_path):
    def full(message, context):
        if context.node_config["partition-id"] == 4:
            return Message(_gone(), reply_to=message)
        return client_app(message, context)

    run, _ = hostile(tmp_path, full, rounds=4, set_aside="after(1, 9)")
    assert [t.clients for t in run.traffic] == [CLIENTS] * 4
    assert run.quarantine.exclusions == []


def test_a_run_stops_when_too_few_clients_are_left(tmp_path):
    everybody_but_one = attacking(ATTACKS["NaN"], range(1, CLIENTS))
    with pytest.raises(FederationError, match="9 of 10 clients are set aside.*needs 5.*NaN"):
        hostile(tmp_path, everybody_but_one, strategy="krum(1)", set_aside="after(1, 5)")


def test_an_answer_counts_once(tmp_path):
    run, _ = hostile(tmp_path, client_app, rounds=0)
    with digits():
        from flwr.app import ConfigRecord

        from frugalfl_server.rounds.flower_arrays import pack

        messages = run.strategy.configure_train(1, pack(run.model), ConfigRecord(), run.grid)
        replies = list(run.grid.send_and_receive(messages))
        with Lines() as warnings:
            run.strategy.aggregate_train(1, [*replies, *replies[:3]])
    assert run.strategy.traffic.updates == CLIENTS
    assert sum("already" in warning for warning in warnings) == 3


def test_words_of_a_client_reach_the_screen_as_one_plain_line(tmp_path):
    def shouting(message, context):
        from flwr.app import Error

        if context.node_config["partition-id"] == 4:
            return Message(Error(2, "no\n\x1b[31mred\x07" + "!" * 5000), reply_to=message)
        reply = client_app(message, context)
        reply.content["ledger"]["notice"] = "look\r\x1b]0;title\x07 here"
        return reply

    run, _ = hostile(tmp_path, shouting, rounds=1)
    assert len(run.warnings) == CLIENTS
    assert all(w.isprintable() and len(w) < 400 for w in run.warnings)


def _no_rows(message, context):
    reply = client_app(message, context)
    if context.node_config["partition-id"] == 1:
        reply.content["metrics"]["num-examples"] = 0
    return reply


@pytest.mark.parametrize("app", [attacking(ATTACKS["NaN"], (1,)), _no_rows])
def test_refused_uploads_are_counted_as_uploads_and_as_their_clients(tmp_path, app):
    settings = Settings.of(clients=4, clients_per_round=4, rounds=2, local_epochs=1, prune=0.0)
    with digits():
        task = load_task(settings.run.task)
        run = RunDirectory.create(tmp_path, task.name, settings, app=None)
        grid = InProcessGrid(app, 4, settings.as_config(), run.path / "devices")
        train(Federation(grid, settings, task, run, quiet=True))
        run.flush()
    assert [(one.uploads, one.updates) for one in run.rounds] == [(4, 3), (4, 3)]
    figures, clients = of_run(run, "finished", None), open_run(run.path).clients.to_pylist()
    assert figures["uplink_bytes_per_update"] == figures["uplink_bytes"] / 8
    assert [one["client"] for one in clients] == ["0", "1", "2", "3"]
    assert {one["rounds"] for one in clients} == {2}
    for way in ("uplink_bytes", "downlink_bytes"):
        assert sum(one[way] for one in clients) == figures[way]
    assert clients[1]["estimated_j"] is None  # nobody believes what it says of its joules
    in_report = client_rows(read_facts(run))[1]
    assert (in_report.client, in_report.up) == ("1", clients[1]["uplink_bytes"])
    assert in_report.measured_j is in_report.estimated_j is None
