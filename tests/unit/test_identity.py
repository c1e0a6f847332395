"""Who is who: what binds a node, its number and its ledger, and what an answer may claim."""

import time
from dataclasses import replace

import pytest
from energy_records import CPU, RECORD

from frugalfl.energy import Head, Ledger
from frugalfl.errors import FrameError
from frugalfl_server.cohort.check_energy import check_told
from frugalfl_server.cohort.identity import LET_IN, ClaimError, Identities


class Device:
    """A client with a ledger of its own, whose answers go to a run."""

    def __init__(self, who, path, client, node):
        self.who, self.client, self.node = who, client, node
        self.ledger = Ledger(path / f"{client}-{node}.sqlite")

    def records(self, round_, **changes):
        return (replace(RECORD, client=self.client, round=round_, **changes),)

    def answer(self, round_, node=None, ledger=None):
        records = self.records(round_)
        head = (ledger or self.ledger).append(records)
        told = self.who.check(node or self.node, records, head, "r", round_, time.monotonic())
        return self.who.bind(told), told


@pytest.fixture
def who(tmp_path):
    return Identities(tmp_path)


@pytest.fixture
def device(who, tmp_path):
    return lambda client, node: Device(who, tmp_path, client, node)


def test_an_honest_device_is_never_spoken_of(device):
    one, two = device("1", 11), device("2", 12)
    for round_ in range(1, 4):
        assert one.answer(round_)[0] == two.answer(round_)[0] == []


def test_a_second_node_does_not_get_a_number_and_the_first_one_keeps_it(device):
    one = device("1", 11)
    one.answer(3)
    with pytest.raises(ClaimError, match="it is client 1, which node 11 is since round 3"):
        device("1", 12).answer(4)
    assert one.answer(5)[0] == []


def test_a_node_does_not_change_its_number(device):
    device("1", 11).answer(1)
    with pytest.raises(ClaimError, match="it is client 2, and it is client 1 since round 1"):
        device("2", 11).answer(2)


def test_nobody_tells_of_anothers_ledger(device):
    one, two = device("1", 11), device("2", 12)
    one.answer(1)
    with pytest.raises(ClaimError, match="the energy ledger of client 1, node 11 since round 1"):
        two.answer(1, ledger=one.ledger)


def test_a_device_with_a_new_key_is_known_by_its_ledger(device):
    one = device("1", 11)
    one.answer(1)
    ((line,), _) = one.answer(2, node=13)
    assert "node 13 is client 1 from now on, which node 11 was since round 1" in line
    assert one.answer(3, node=13)[0] == []


def test_a_ledger_that_does_not_go_on_is_no_way_in(device, tmp_path, who):
    one = device("1", 11)
    one.answer(1)
    records = one.records(2)
    (tmp_path / "copy").mkdir()
    stale = Head(1, bytes(32), one.ledger.mark, bytes(16))  # as of a copy from before round 1
    with pytest.raises(ClaimError):
        who.check(13, records, stale, "r", 2, time.monotonic())
    forged = Head(2, bytes(32), one.ledger.mark, bytes(16))
    with pytest.raises(ClaimError):
        who.check(13, records, forged, "r", 2, time.monotonic())


def test_a_ledger_that_was_begun_anew_is_named_and_the_answer_counts(device, tmp_path):
    one = device("1", 11)
    one.answer(1)
    with Ledger(tmp_path / "new.sqlite") as other:
        ((line,), told) = one.answer(2, ledger=other)
    assert "node 11 (client 1): its energy ledger does not go on from entry 1" in line
    assert told.heads[0].node == "11"


def test_an_answer_that_is_late_says_nothing_about_the_ledger(device, who):
    one = device("1", 11)
    late = one.records(1)
    head = one.ledger.append(late)
    one.answer(2)
    told = who.check(11, late, head, "r", 1, time.monotonic())
    assert who.bind(told) == []
    assert one.answer(3)[0] == []


def test_an_operator_lets_a_node_in_whose_disk_is_lost(device, tmp_path):
    device("1", 11).answer(1)
    anew = device("1", 13)
    with pytest.raises(ClaimError, match=f"To let it in: echo 13 >> .*{LET_IN}"):
        anew.answer(2)
    (tmp_path / LET_IN).write_text("13\n")
    assert "let-in.txt" in anew.answer(2)[0][0]
    with pytest.raises(ClaimError, match="which node 13 is"):
        device("1", 12).answer(3)


def test_a_first_answer_that_was_wrong_takes_no_number(device, who):
    liar = device("1", 12)
    _, told = liar.answer(1)
    assert who.withdraw(told)
    one = device("1", 11)
    one.answer(1)
    _, told = one.answer(2)
    assert not who.withdraw(told)  # one wrong answer does not cost a number that was held


def test_who_is_who_survives_a_checkpoint(device, who):
    one = device("1", 11)
    one.answer(1)
    later = Identities()
    later.restore(who.state())
    one.who = later
    assert one.answer(2)[0] == []
    stranger = device("1", 12)
    stranger.who = later
    with pytest.raises(ClaimError):
        stranger.answer(2)


def test_clients_from_before_there_were_marks_are_bound_too(who):
    def answer(node, number):
        records = (replace(RECORD, client="1", round=number),)
        told = who.check(node, records, Head(number, bytes(32)), "r", number, time.monotonic())
        who.bind(told)

    answer(11, 1)
    answer(11, 7)
    with pytest.raises(ClaimError):
        answer(12, 9)


ABSURD = {
    "joules": ({"readings": (replace(CPU, energy_j=1e9),)}, "no device uses"),
    "idle joules": ({"readings": (replace(CPU, idle_j=1e12),)}, "no device uses"),
    "time": ({"wall_s": 4000.0}, "s of work"),
    "processor": ({"cpu_s": 1e9}, "processor time"),
    "date": ({"start_unix_s": 9e12}, "to come"),
    "right": ({"correct": 31}, "31 right of its rows"),
    "rows": ({"samples": 1 << 50}, "rows"),
    "bytes": ({"uplink_bytes": 1 << 50}, "bytes"),
    "contacts": ({"contacts": 1 << 30}, "contacts"),
    "number": ({"client": "../1"}, "no number"),
    "digits": ({"client": "٣"}, "no number"),
}


@pytest.mark.parametrize("change, said", ABSURD.values(), ids=ABSURD)
def test_what_cannot_be_is_refused_in_one_line(change, said):
    asked = time.monotonic()
    check_told(1, (RECORD,), Head(1, bytes(32)), "r", 1, asked)
    with pytest.raises(FrameError, match=said) as error:
        check_told(1, (replace(RECORD, **change),), Head(1, bytes(32)), "r", 1, asked)
    assert str(error.value).isprintable() and len(str(error.value)) < 300


def test_records_without_their_ledger_are_nobodys():
    told = check_told(1, (RECORD,), None, "r", 1, time.monotonic())
    assert (told.client, told.records, told.heads) == ("", (), [])
    with pytest.raises(FrameError, match="its energy records are 1, and its ledger ends at 0"):
        check_told(1, (RECORD,), Head(0, bytes(32)), "r", 1, time.monotonic())
