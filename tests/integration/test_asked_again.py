"""A device that was killed after it worked, before it answered: asked once more, it adds the same."""

import math

import numpy as np
import pytest
from flwr.app import Error
from flwr.common.constant import ErrorCode

from frugalfl import wire
from frugalfl_client.device import forget_devices

from .rounds import digits
from .test_deadlines import SETTINGS, SlowGrid, SlowRounds

NODES = [1000, 1001, 1002, 1003]


class KilledGrid(SlowGrid):
    """The clients of ``killed`` do their work so many times, and answer that they were killed."""

    def push_messages(self, messages):
        messages = list(messages)
        numbers = super().push_messages(messages)
        for message, number in zip(messages, numbers, strict=True):
            node = message.metadata.dst_node_id
            if self.killed.get(node, 0):
                self.killed[node] -= 1
                due, reply = self._replies[number]
                error = Error(ErrorCode.CLIENT_APP_CRASHED, "the node was killed while it worked")
                reply.__dict__["_content"], reply.__dict__["_error"] = None, error
                self._replies[number] = due, reply
        return numbers


class LossyGrid(SlowGrid):
    """Messages to the nodes of ``killed`` are handed out so many times to nobody."""

    def push_messages(self, messages):
        messages = list(messages)
        lost = {m.metadata.dst_node_id for m in messages if self.killed.get(m.metadata.dst_node_id)}
        arrived = [m for m in messages if m.metadata.dst_node_id not in lost]
        numbers = dict(zip(map(id, arrived), super().push_messages(arrived), strict=True))
        for node in lost:
            self.killed[node] -= 1
            self._replies[f"lost {node} {self.killed[node]}"] = math.inf, None
        return [
            numbers.get(
                id(m), f"lost {m.metadata.dst_node_id} {self.killed.get(m.metadata.dst_node_id)}"
            )
            for m in messages
        ]


@pytest.fixture
def run(tmp_path):
    def three_rounds(killed_in_the_second, grid=KilledGrid, slow=(), **changes):
        settings = SETTINGS.changed(**{"clients_per_round": 4, "round_deadline": 20.0, "private": "8",
            "uplink": "feedback(momentum 0.5) | topk(5%) | sign | golomb", **changes,
        })  # fmt: skip
        folder = tmp_path / f"devices-{len(list(tmp_path.iterdir()))}"
        rounds = SlowRounds(settings, folder)
        rounds.slow.__class__ = grid
        rounds.slow.killed = {}
        for number in range(3):
            rounds.slow.killed = dict(killed_in_the_second) if number == 1 else {}
            rounds.slow.slow = dict(slow) if number == 1 else {}
            rounds.next()
        forget_devices()
        return rounds

    with digits():
        yield three_rounds


def test_it_adds_what_it_would_have_added_and_its_bytes_are_counted(run):
    plain, killed = run({}), run({1001: 1, 1003: 2})
    assert [t.updates for t in killed.traffic] == [4, 4, 4]
    for name, tensor in plain.model.items():
        assert np.array_equal(tensor, killed.model[name]), name
    asked = [line for line in killed.said if "is asked once more" in line]
    assert len(asked) == 3
    assert killed.round_grid.again_bytes() > 0
    assert killed.round_grid.again_bytes() == plain.round_grid.again_bytes() == 0


def test_one_that_dies_of_the_question_is_not_asked_for_ever(run):
    rounds = run({1002: 99}, quorum=2.0)
    assert [t.updates for t in rounds.traffic[:2]] == [4, 3]
    assert len([line for line in rounds.said if "is asked once more" in line]) == 3


def test_one_whose_message_was_lost_is_asked_once_more(run):
    plain = run({}, round_deadline=240.0)
    lost = run({1001: 1, 1002: 2}, grid=LossyGrid, round_deadline=240.0)
    assert [t.updates for t in lost.traffic] == [4, 4, 4]
    for name, tensor in plain.model.items():
        assert np.array_equal(tensor, lost.model[name]), name
    assert len([line for line in lost.said if "is silent" in line]) == 3


def test_one_that_is_only_slow_counts_once_although_it_was_asked_twice(run):
    plain = run({}, round_deadline=240.0)
    slow = run({}, grid=LossyGrid, slow={1001: 45.0}, round_deadline=240.0)
    assert [t.updates for t in slow.traffic] == [4, 4, 4]
    assert len([line for line in slow.said if "is silent" in line]) == 1
    for name, tensor in plain.model.items():
        assert np.array_equal(tensor, slow.model[name]), name


def test_where_all_take_long_nobody_is_asked_twice(run):
    slow = run({}, grid=LossyGrid, slow=dict.fromkeys(NODES, 100.0), round_deadline=240.0)
    assert [t.updates for t in slow.traffic] == [4, 4, 4]
    assert not [line for line in slow.said if "asked once more" in line]


def test_a_question_is_known_again_but_not_that_of_a_round_that_is_done_anew():
    def content(*resumed):
        request = wire.TrainRequest("run", 3, 1, 2, (0,), b"frames", "raw", resumed=resumed)
        return wire.pack_request(request)

    question = wire.question_of(content())
    assert wire.question_of(wire.asked_again(content())) == question
    assert not wire.is_asked_again(content()) and wire.is_asked_again(wire.asked_again(content()))
    assert wire.question_of(content(3)) != question
