"""Rounds with deadlines, over a Grid whose clients answer when a test wants them to."""

import logging
import math
import random
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest
from flwr.app import ConfigRecord, Error, Message
from flwr.common.constant import ErrorCode
from tests.logged import Lines

from frugalfl.errors import FederationError
from frugalfl.settings import Settings
from frugalfl_server.cohort.quarantine import Quarantine
from frugalfl_server.cohort.selection import Selection
from frugalfl_server.exchange.deadlines import RoundGrid
from frugalfl_server.rounds.flower_arrays import pack, unpack
from frugalfl_server.rounds.flower_strategies import strategy_of
from frugalfl_sim.engine.grid import InProcessGrid

from .rounds import Rounds, digits

SETTINGS = Settings.of(
    clients=4, clients_per_round=2, local_epochs=1, evaluate_rows=0, recover_rounds=0, prune=0.0
)


class SlowGrid(InProcessGrid):
    """The clients of ``slow`` answer so many seconds later, by a clock that only waiting moves."""

    slow: ClassVar[dict[int, float]] = {}
    now_s = 0.0
    lost: frozenset[int] = frozenset()
    gone: frozenset[int] = frozenset()

    def get_node_ids(self):
        return [node for node in super().get_node_ids() if node not in self.gone]

    def clock(self):
        return self.now_s

    def sleep(self, seconds):
        self.now_s += seconds

    def push_messages(self, messages):
        messages = list(messages)
        numbers = super().push_messages(messages)
        for message, number in zip(messages, numbers, strict=True):
            node = message.metadata.dst_node_id
            _, reply = self._replies[number]
            if node in self.lost:
                error = Error(ErrorCode.NODE_UNAVAILABLE, "away")
                reply.__dict__["_content"], reply.__dict__["_error"] = None, error
                reply.metadata.__dict__["_src_node_id"] = 1
            self._replies[number] = self.now_s + self.slow.get(node, 0), reply
            self.lived_s = message.metadata.ttl
        return numbers

    def pull_messages(self, message_ids):
        ready = [n for n in message_ids if self._replies[n][0] <= self.now_s]
        return super().pull_messages(ready)


class SlowRounds(Rounds):
    """A run whose rounds go through a :class:`RoundGrid`."""

    def __init__(self, settings, devices):
        super().__init__(settings, devices, inner=strategy_of(settings))
        self.slow = SlowGrid(
            self.grid._client_app, settings.simulation.clients, settings.as_config(), devices
        )
        self.round_grid = RoundGrid(
            self.slow, settings.rounds.clients_per_round, settings.rounds.round_deadline,
            close_early=settings.rounds.over_select > 0, clock=self.slow.clock,
            sleep=self.slow.sleep,
        )  # fmt: skip

    def next(self):
        with Lines() as lines:
            asked = self._next_of_all()
        self.warnings += lines
        return asked

    def _next_of_all(self):
        number = len(self.traffic) + 1
        random.seed(number)
        messages = list(
            self.strategy.configure_train(number, pack(self.model), ConfigRecord(), self.round_grid)
        )
        replies = self.round_grid.send_and_receive(messages, timeout=3600)
        arrays, _ = self.strategy.aggregate_train(number, replies)
        before, self.model = self.model, self.model if arrays is None else unpack(arrays)
        self.traffic.append(self.strategy.traffic)
        moved = any(not np.array_equal(before[name], self.model[name]) for name in before)
        return {message.metadata.dst_node_id for message in messages}, moved


@pytest.fixture
def rounds(tmp_path):
    def begin(**changes):
        settings = SETTINGS.changed(**{"round_deadline": 20.0, **changes})
        return SlowRounds(settings, tmp_path / "devices")

    with digits():
        yield begin


NODES = [1000, 1001, 1002, 1003]


def test_a_straggler_costs_one_round_its_update_and_rests_in_the_next(rounds):
    run = rounds(clients_per_round=2)
    run.slow.slow = {1000: 500, 1001: 500}
    seen = [run.next() for _ in range(4)]
    for (asked, _), (after, _) in pairwise(seen):
        late = asked & {1000, 1001}
        assert not late & after  # the other two are enough
    assert all(len(asked) == 2 for asked, _ in seen)
    assert any(asked & {1000, 1001} for asked, _ in seen[:3])
    assert sum(traffic.updates for traffic in run.traffic) == 8 - sum(
        len(asked & {1000, 1001}) for asked, _ in seen
    )


def test_messages_live_shorter_than_their_round(rounds):
    run = rounds()
    run.next()
    assert 15 < run.slow.lived_s < 20


def test_a_round_below_its_quorum_leaves_the_model_and_says_so(rounds):
    run = rounds(clients_per_round=4, quorum=3.0)
    run.slow.slow = {1000: 500, 1002: 500}
    _, moved = run.next()
    assert not moved
    assert run.traffic[-1].updates == 0
    assert any("2 of 4 clients contributed in time, the quorum is 3" in w for w in run.warnings)
    run.slow.slow = {}
    run.slow.now_s += 500
    _, moved = run.next()
    assert moved and run.traffic[-1].updates == 4


def test_a_late_answer_counts_in_the_next_round_with_less_weight(rounds):
    run = rounds(clients_per_round=3, over_select=0.3)
    run.slow.slow = {1003: 8}
    asked, _ = run.next()
    assert asked == set(NODES)
    assert (run.traffic[0].updates, run.traffic[0].late) == (3, 0)
    run.slow.now_s += 8
    asked, _ = run.next()
    assert (run.traffic[1].updates - run.traffic[1].late, run.traffic[1].late) in ((3, 1), (2, 1))
    assert run.traffic[1].failures == []


def test_a_late_answer_of_another_phase_is_named_and_not_used(rounds):
    run = rounds(clients_per_round=3, over_select=0.3)
    run.slow.slow = {1003: 8}
    run.next()
    run.parts.questions.forget_before(10)  # as after pruning, when other rounds begin
    run.slow.now_s += 8
    run.next()
    assert any("late by now" in warning for warning in run.warnings)
    assert run.traffic[1].late == 0 and run.traffic[1].failures == []


def test_a_node_that_went_away_is_no_failure_of_a_client(rounds):
    run = rounds(clients_per_round=4)
    run.slow.lost = frozenset({1001})
    run.next()
    assert run.round_grid.missing == {1001: "went away"}
    assert run.traffic[0].updates == 3 and run.traffic[0].failures == []


def test_a_run_ends_when_nobody_answers_any_more(rounds):
    run = rounds(clients_per_round=4)
    run.slow.lost = frozenset(NODES)
    run.next()
    run.next()
    with pytest.raises(FederationError, match="nobody has answered in 3 rounds"):
        run.next()


def test_replies_come_in_the_order_of_the_messages(rounds):
    run = rounds(clients_per_round=4)
    run.slow.slow = {1000: 6, 1001: 3}
    run.round_grid.get_node_ids()
    messages = list(
        run.strategy.configure_train(1, pack(run.model), ConfigRecord(), run.round_grid)
    )
    wanted = [message.metadata.dst_node_id for message in messages]
    replies = list(run.round_grid.send_and_receive(messages))
    assert [reply.metadata.src_node_id for reply in replies] == wanted
    assert all(isinstance(reply, Message) for reply in replies)


def test_who_waits_for_nodes_says_for_how_many(tmp_path):
    with digits():
        few = SETTINGS.changed(clients=2)
        grid = InProcessGrid(None, 2, few.as_config(), tmp_path)
        waiting = RoundGrid(grid, 3)
        with Lines(logging.INFO) as said:
            waiting.get_node_ids()
            waiting.get_node_ids()
    assert said == ["waiting for nodes: 2 connected, 3 needed"]


def test_a_node_that_is_gone_does_not_hold_up_a_run_that_has_a_quorum(rounds, monkeypatch):
    monkeypatch.setattr("frugalfl_server.cohort.selection.GONE_S", 0.0)
    run = rounds(clients_per_round=4, quorum=0.5)
    whole, _ = run.next()
    run.slow.gone = frozenset({1001})
    asked, moved = run.next()
    assert (whole, asked) == (set(NODES), set(NODES) - {1001})
    assert moved and run.traffic[-1].clients == run.traffic[-1].updates == 3
    assert run.warnings[-1] == (
        "round 2: 1 of 4 clients are gone, or still at work; it begins without them, the quorum is 2"
    )
    run.slow.gone = frozenset()
    assert run.next()[0] == set(NODES)


def test_a_round_waits_for_nodes_if_it_must(monkeypatch):
    monkeypatch.setattr("frugalfl_server.cohort.selection._LOOK_S", 0.0)

    class Two:
        looks = 0

        def get_node_ids(self):
            Two.looks += 1
            if Two.looks > 100:
                raise TimeoutError
            return [5, 6]

    def chosen(clients, least, patience_s):
        Two.looks = 0
        selection = Selection(
            clients, Quarantine(None, clients, least), quorum=2, patience_s=patience_s
        )
        with Lines() as said:
            nodes = selection.choose(Two(), 4, clock=lambda: Two.looks).nodes
        return sorted(nodes), Two.looks, said

    missing = (
        "round 4: 1 of 3 clients are gone, or still at work; it begins without them, the quorum is "
        "2"
    )
    assert chosen(clients=3, least=2, patience_s=10.0) == ([5, 6], 11, [missing])
    assert chosen(clients=2, least=2, patience_s=10.0) == ([5, 6], 2, [])
    for least, patience_s in ((3, 10.0), (2, math.inf)):
        with pytest.raises(TimeoutError):
            chosen(clients=3, least=least, patience_s=patience_s)
