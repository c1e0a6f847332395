"""Questions that have their own type, and are understood by older devices and servers all the same."""

import re
from pathlib import Path

import pytest
from flwr.app import Message
from flwr.supercore.task_identity import TaskIdentity

from frugalfl import wire

ROOT = Path(__file__).parents[2]
#: What devices and servers of before knew: one request and one reply for all of these.
OLD_REQUEST, OLD_REPLY = wire.pack_request, wire.pack_reply
REQUESTS = {
    "counters": (
        wire.pack_counters_request(wire.CountersRequest("run", b"sums")),
        wire.TrainRequest("run", 0, -1, 0, (), b"sums", ""),
    ),
    "facts": (
        wire.pack_facts_request(wire.FactsRequest("run")),
        wire.TrainRequest("run", 0, -1, 0, (), b"", ""),
    ),
    "trees": (
        wire.pack_trees_request(wire.TreesRequest("run", 7, 2, 3, b"parcel", "bagging(4)")),
        wire.TrainRequest("run", 7, 2, 3, (), b"parcel", "bagging(4)"),
    ),
}
REPLIES = {
    "counters": (
        wire.pack_counters_reply(wire.CountersReply(b"tables", link="lora", notice="full disk")),
        wire.TrainReply(0, b"tables", link="lora", notice="full disk"),
    ),
    "facts": (
        wire.pack_facts_reply(wire.FactsReply(b"facts")),
        wire.TrainReply(0, b"facts"),
    ),
    "trees": (
        wire.pack_trees_reply(wire.TreesReply(3, b"trees", 240, 0.25, link="wifi")),
        wire.TrainReply(3, b"trees", 240, 0.25, link="wifi"),
    ),
}


@pytest.fixture(autouse=True, scope="module")
def identity():
    """Flower makes no message without one."""
    TaskIdentity.run_id = TaskIdentity.task_id = TaskIdentity.node_id = 1


@pytest.mark.parametrize("question", REQUESTS)
def test_a_request_is_what_older_devices_were_sent(question):
    content, before = REQUESTS[question]
    assert content == OLD_REQUEST(before)
    assert wire.unpack_request(Message(content, dst_node_id=1, message_type="train")) == before


@pytest.mark.parametrize("question", REPLIES)
def test_a_reply_is_what_older_servers_were_sent(question):
    content, before = REPLIES[question]
    assert content == OLD_REPLY(before)
    assert wire.unpack_reply(Message(content, dst_node_id=1, message_type="train")) == before


def test_a_resumed_run_asks_another_question_about_trees_than_before():
    """A node that has answered the first one does not hand out that answer again."""

    def content(resumed):
        return wire.pack_trees_request(wire.TreesRequest("run", 7, 2, 3, b"", "x", resumed))

    assert wire.question_of(content(())) != wire.question_of(content((7,)))
    again = wire.asked_again(content((7,)))
    read = wire.unpack_trees_request(Message(again, dst_node_id=1, message_type=wire.TREES))
    assert (read.resumed, read.again) == ((7,), True)


def test_message_types_are_written_in_one_place():
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for part in ("shared", "client", "server", "simulations")
        for path in (ROOT / part).rglob("*.py")
        if "wire" not in path.parts
        for line in path.read_text().splitlines()
        if re.search(r"[\"'](query\.(calibrate|counters|facts)|train\.trees)[\"']", line)
    ]
    assert found == []
