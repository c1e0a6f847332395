"""The settings of asynchronous aggregation, and the simulated clock."""

import pytest
from flwr.app import Message, MetricRecord, RecordDict

from frugalfl.asynchronous import Buffered, needs_whole_rounds, parse_asynchronous
from frugalfl.delays import parse_delays
from frugalfl.errors import UsageError
from frugalfl.settings import Settings
from frugalfl_server.exchange.in_flight import InFlight
from frugalfl_server.rounds.flower_strategies import needs_only_mean, strategy_of
from frugalfl_sim.engine.grid import InProcessGrid


def test_the_texts_mean_what_they_say():
    assert parse_asynchronous("") is None
    assert parse_asynchronous("buffered(7)") == Buffered(7)
    assert parse_asynchronous("buffered(7, step 1.5)") == Buffered(7, step=1.5)
    assert parse_asynchronous("buffered(1, staleness 0)") == Buffered(1, staleness=0)
    assert [parse_delays("1 s * 2, 0.5 s, 30s").of(n) for n in range(6)] == [1, 1, 0.5, 30, 1, 1]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"asynchronous": "buffer(5)"}, "did you mean 'buffered'"),
        ({"asynchronous": "buffered"}, "'buffered' takes 1 to 3 arguments"),
        ({"asynchronous": "buffered(0)"}, "whole number of at least 1"),
        ({"asynchronous": "buffered(5, stalenes 3)"}, "did you mean 'staleness'"),
        ({"asynchronous": "buffered(5, 3)"}, "unknown option of buffered '3'"),
        ({"asynchronous": "buffered(5, staleness -3)"}, "cannot read"),
        ({"asynchronous": "buffered(5, staleness 1.5)"}, "staleness takes a whole number"),
        ({"asynchronous": "buffered(5, step 0)"}, "step takes a number above 0"),
        ({"asynchronous": "buffered(5, step 1e999)"}, "step takes a number above 0"),
        ({"asynchronous": "buffered(5, step 1, step 2)"}, "step twice"),
        ({"asynchronous": "buffered(5)", "strategy": "krum(1)"}, "compares the updates of a round"),
        ({"asynchronous": "buffered(5)", "sampling": "sticky(20, 1)"}, "plans rounds"),
        ({"asynchronous": "buffered(5)", "quorum": 0.5}, "quorum is about rounds"),
        ({"delays": "fast"}, "cannot read delays 'fast'"),
        ({"delays": "1 s * 0"}, "cannot read delays"),
        ({"delays": "1 s, -1 s"}, "cannot read delays '-1 s'"),
    ],
)
def test_mistakes_are_explained(config, message):
    with pytest.raises(UsageError, match=message):
        Settings.of(config)


@pytest.mark.parametrize(
    "strategy",
    [
        "fedavg", "fedavgm(0.9)", "fedadagrad(0.1)", "fedadam(0.1)", "fedyogi(0.1)", "fedprox(0.1)",
        "qfedavg(0.2)", "fedmedian", "fedtrimmedavg(20%)", "krum(1)", "multikrum(1, 4)", "bulyan(1)",
    ],
)  # fmt: skip
def test_what_takes_a_mean_alone_needs_no_rounds(strategy):
    assert needs_only_mean(strategy_of(Settings.of(strategy=strategy))) != needs_whole_rounds(
        strategy
    )


def grid_of(folder, delays, clients=4):
    def answer(message, context):
        number = MetricRecord({"client": context.node_config["partition-id"]})
        return Message(RecordDict({"metrics": number}), reply_to=message)

    return InProcessGrid(answer, clients, {"delays": delays}, folder)


def ask(grid, nodes=None):
    nodes = grid.get_node_ids() if nodes is None else nodes
    return list(grid.push_messages([Message(RecordDict(), node, "train") for node in nodes]))


def numbers(replies):
    return [reply.content["metrics"]["client"] for reply in replies]


def test_replies_come_in_the_order_of_simulated_time(tmp_path):
    grid = grid_of(tmp_path, "3 s, 1 s, 2 s, 1 s")
    nodes = list(grid.get_node_ids())
    sent = ask(grid)
    assert numbers(grid.pull_messages(sent)) == [1, 3]
    assert grid.simulated_s == 1
    sent += ask(grid, [nodes[1]])
    assert numbers(grid.pull_messages(sent)) == [2, 1]  # both at 2 s, in the order of sending
    assert numbers(grid.pull_messages(sent)) == [0]
    assert grid.simulated_s == 3
    assert grid.pull_messages(sent) == []
    assert grid.simulated_s == 3


def test_a_round_lasts_as_long_as_its_slowest_client(tmp_path):
    grid = grid_of(tmp_path, "3 s, 1 s")
    for _ in range(2):
        messages = [Message(RecordDict(), node, "train") for node in grid.get_node_ids()]
        assert numbers(grid.send_and_receive(messages)) == [0, 1, 2, 3]
    assert grid.simulated_s == 6


def test_without_delays_there_is_no_simulated_clock(tmp_path):
    grid = grid_of(tmp_path, "")
    assert numbers(grid.pull_messages(ask(grid))) == [0, 1, 2, 3]
    assert grid.simulated_s is None


def test_a_client_that_takes_too_long_is_given_up(tmp_path):
    grid = grid_of(tmp_path, "2000 s, 5000 s", clients=2)
    quick, slow = grid.get_node_ids()
    at_work = InFlight(grid)
    at_work.send([Message(RecordDict(), node, "train") for node in (quick, slow)])
    assert numbers([at_work.receive()]) == [0]
    assert at_work.nodes == {slow}
    at_work.send([Message(RecordDict(), quick, "train")])
    assert numbers([at_work.receive()]) == [0]
    gone = at_work.receive()
    assert gone.metadata.src_node_id == slow
    assert gone.error.reason == "no answer within 3600 s"
    assert not at_work.nodes
