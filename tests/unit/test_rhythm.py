"""Nodes that wait for each other: what the pace of each makes of the rounds of all."""

import random
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugalfl_client.node.pace import Pace
from frugalfl_client.node.rhythm import Rhythm

#: How far the nodes' clock is off the server's (s); it must not matter.
OFF = 1e6
#: The server's own part of a round, the longest wait of a node, the deadline of a round (s).
SERVER, IDLE, DEADLINE = 0.6, 72.0, 30.0
#: What a pace promises, it promises on the whole: waits are spread by chance.
SEEDS = range(2)


class Cohort:
    """Some of many nodes are asked a round, which ends with the last answer or its deadline."""

    def __init__(self, nodes, seed, counted=True):
        random.seed(seed)
        self._chance, self._counted = random.Random(seed), counted
        self._paces = [Pace(0.25, IDLE, 0.0) for _ in range(nodes)]
        self._ask, self._free = [0.0] * nodes, [0.0] * nodes
        self._made, self._number, self.questions = 40.0, 0, 0

    def round(self, asked, work, sleeper=None):
        """Let ``asked`` nodes work; return how long all waited for the last to ask."""
        self._number += 1
        awake = [n for n, free in enumerate(self._free) if free <= self._made]
        chosen = self._chance.sample(awake, asked)
        late = max(self._take(node, work * (1 + 200 * (node == sleeper))) for node in chosen)
        ends = [min(self._free[node], self._made + DEADLINE) for node in chosen]
        self._made = max(ends) + SERVER
        return late

    def _take(self, node, work):
        pace = self._paces[node]
        while self._ask[node] < self._made:
            self._ask[node] += pace.wait(self._ask[node])
            self.questions += 1
        at, self.questions = self._ask[node], self.questions + 1
        if at < self._made + DEADLINE:  # otherwise nobody gave it to the node
            pace.message(at, 1, self._made + OFF, self._number if self._counted else None)
            self._free[node] = at + work * self._chance.uniform(0.8, 1.2)
            pace.answered(self._free[node], float(int(self._free[node] + OFF)))
            self._ask[node] = self._free[node] + pace.first_wait()
        return at - self._made


@pytest.mark.parametrize("work", [0.3, 5.0])
def test_where_some_are_asked_a_round_rounds_stay_as_short_as_the_work(work):
    """Without the numbers of rounds they went to their deadline: waits grew with silences."""
    late, questions = [], 0
    for seed in SEEDS:
        cohort = Cohort(40, seed)
        for _ in range(60):  # in these most nodes join the run
            cohort.round(10, work)
        questions -= cohort.questions
        late += [cohort.round(10, work) for _ in range(20)]
        questions += cohort.questions
    assert mean(late) <= 0.5 * (work + SERVER) + 1.0
    assert questions / (len(SEEDS) * 20 * 10) <= 40


@settings(max_examples=10, deadline=None)
@given(st.sampled_from([(3, 2), (3, 3), (5, 3)]), st.integers(0, 1000))
def test_rounds_after_one_that_a_straggler_missed_are_as_those_before(sizes, seed):
    nodes, asked = sizes
    cohort = Cohort(nodes, seed)
    before = [cohort.round(asked, 0.3) for _ in range(25)][15:]
    cohort.round(nodes, 0.3, sleeper=0)
    after = [cohort.round(min(asked, nodes - 1), 0.3) for _ in range(10)]
    assert mean(after) <= mean(before) + 1.0
    assert max(after) <= 3.0


def test_apps_that_do_not_count_rounds_are_taken_part_in_as_before():
    cohort = Cohort(3, 1, counted=False)
    assert max([cohort.round(3, 0.3) for _ in range(20)][10:]) <= 1.0


@given(st.floats(0.5, 60.0), st.integers(0, 2**32))
def test_after_a_run_a_node_is_soon_idle(length, seed):
    random.seed(seed)
    pace, now = Pace(0.25, IDLE, 0.0), 0.0
    for number in range(1, 9):
        pace.message(now, 1, now + OFF, number)
        pace.answered(now + 0.2, float(int(now + 0.2 + OFF)))
        now += length
    ask, asked, later = now - length + 0.2 + pace.first_wait(), 0, 0
    while ask < now + 7200:
        asked, later = asked + 1, later + (ask > now + 3600)
        ask += pace.wait(ask)
    assert asked <= 300
    assert later <= 3600 / IDLE / 0.9 + 1  # what the idle traffic of docs/deploy.md is made of


def test_a_further_question_of_a_round_is_no_round():
    rhythm = Rhythm()
    assert rhythm.message(1, 10.0) == 0
    assert rhythm.message(1, 12.0) == 0
    assert not rhythm.left_out
    assert rhythm.message(4, 40.0) == 20.0  # rounds 2 and 3
    assert rhythm.left_out
    assert rhythm.longest_wait(100.0) == 2.5
