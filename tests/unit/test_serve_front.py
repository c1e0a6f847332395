"""Parts of the front: who makes room for whom, and what the operator reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalfl_server.serve.front.crowd import Crowd, Guest
from frugalfl_server.serve.front.limits import FrontLimits
from frugalfl_server.serve.front.refused import Refusals, RequestRefusedError, printable

LIMITS = FrontLimits(per_address=3, strangers=6, per_key=2, connections=10)


class Door:
    def __init__(self):
        self.gone, self.told = [], []
        self.crowd = Crowd(LIMITS, lambda address, error: self.told.append((address, error.why)))

    def enter(self, address, key=b"", idle=False):
        guest = Guest(address, idle=idle)
        guest.leave = lambda: self.gone.append(guest)
        self.crowd.enter(guest)
        if key:
            self.crowd.name(guest, key)
        return guest


def test_strangers_of_one_address_take_each_others_places():
    door = Door()
    node = door.enter("a", b"key")
    strangers = [door.enter("a") for _ in range(5)]
    assert door.gone == strangers[:2]
    assert len(door.crowd) == 4
    assert node not in door.gone


def test_strangers_of_many_addresses_too():
    door = Door()
    nodes = [door.enter("a", b"k%d" % number) for number in range(4)]
    for number in range(50):
        door.enter(f"b{number}")
    assert len(door.crowd) == 10
    assert not {*nodes} & {*door.gone}


def test_nodes_that_are_idle_make_room_and_those_at_work_do_not():
    door = Door()
    idle = door.enter("a", b"idle", idle=True)
    for number in range(9):
        door.enter("a", b"k%d" % number)
    door.enter("a", b"one more")
    assert door.gone == [idle] and not door.told
    with pytest.raises(RequestRefusedError, match="all are at work"):
        door.enter("a")


def test_one_key_is_not_many_connections():
    door = Door()
    mine = [door.enter("a", b"key") for _ in range(3)]
    assert door.gone == mine[:1]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["enter", "name", "leave"]), st.integers(0, 9), st.sampled_from("abcd")
        ),
        max_size=80,
    )
)
def test_no_bound_is_ever_passed(steps):
    door, guests = Door(), []
    for what, number, letter in steps:
        if what == "enter":
            guests.append(door.enter(letter, idle=True))
        elif guests:
            guest = guests[number % len(guests)]
            if what == "leave":
                door.crowd.leave(guest)
            elif guest not in door.gone:
                door.crowd.name(guest, letter.encode())
        crowd = door.crowd
        assert len(crowd._all) <= 10 and len(crowd._strangers) <= 6
        assert all(0 < len(group) <= 3 for group in crowd._of_address.values())
        assert all(0 < len(group) <= 2 for group in crowd._of_key.values())
        assert len(crowd._all) == len(crowd._strangers) + sum(map(len, crowd._of_key.values()))


def test_a_flood_is_a_few_lines():
    now, lines = [0.0], []
    refused = Refusals(lines.append, lambda: now[0])
    for number in range(5000):
        error = RequestRefusedError("request to /v1/control/start-run", "not served")
        refused.add(f"10.0.{number % 200}.1", error)
        refused.add("10.1.2.3", error)
        if number % 100 == 0:
            now[0] += 0.5
            refused.tell()
    refused.tell(everything=True)
    assert lines[0] == "refused 1 request to /v1/control/start-run from 10.0.0.1: not served"
    assert any(
        line.startswith("refused 4,") and "requests to /v1/control/start-run from 10.1.2.3" in line
        for line in lines
    )
    assert len(lines) < 60
    told = sum(int(line.split()[1].replace(",", "")) for line in lines)
    assert told == 10000


@given(st.binary(max_size=300))
def test_a_strangers_text_is_short_and_printable(text):
    shown = printable(text)
    assert shown.isascii() and shown.isprintable() and len(shown) <= 51


def test_an_attacker_with_many_addresses_gets_no_more_lines():
    now, lines = [0.0], []
    refused = Refusals(lines.append, lambda: now[0])
    for number in range(6000):
        refused.add(
            f"10.{number // 256}.{number % 256}.1", RequestRefusedError("connection", "no TLS")
        )
        now[0] += 0.05
        if number % 10 == 9:
            refused.tell()
    refused.tell(everything=True)
    assert len(lines) < 20 + 20 * (300 / 30) + 300 / 30 + 2
    assert sum(int(line.split()[1].replace(",", "")) for line in lines) == 6000
