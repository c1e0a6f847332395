"""Who keeps sending garbage is not asked for a while, and then on trial."""

import pytest

from frugalfl.errors import FederationError, UsageError
from frugalfl.patience import Patience, parse_patience
from frugalfl.settings import Settings
from frugalfl_server.cohort.quarantine import Quarantine
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.records import QUARANTINE

NODES = (7, 8, 9)


def after(rounds, quarantine, wrong=()):
    """Do rounds in which a node's reply is wrong wherever it is asked; return when it was asked."""
    asked = []
    for number in rounds:
        quarantine.begin()
        if not quarantine.rests(7):
            asked.append(number)
            quarantine.note_wrong(7, number, "damaged")
    return asked


def test_three_in_a_row_then_ten_rounds_then_on_trial():
    quarantine = Quarantine(Patience(3, 10))
    assert after(range(1, 40), quarantine) == [1, 2, 3, 14, 25, 36]
    assert [one.round for one in quarantine.exclusions] == [3, 14, 25, 36]
    assert str(quarantine.exclusions[0]) == "node 7 is set aside for 10 rounds: damaged"


def test_a_right_reply_clears_the_sheet():
    quarantine = Quarantine(Patience(2, 5))
    for number in range(10):
        quarantine.begin()
        assert quarantine.note_wrong(7, number, "damaged") == []
        quarantine.note_right(7)
        assert not quarantine.rests(7)


def test_never():
    quarantine = Quarantine(parse_patience("never"))
    assert after(range(20), quarantine) == list(range(20))


def test_a_run_stops_once_too_few_are_left():
    quarantine = Quarantine(Patience(1, 5), clients=3, fewest=2)
    quarantine.begin()
    for node in (7, 8):
        quarantine.note_wrong(node, 4, "damaged")
    quarantine.begin()
    assert quarantine.among(NODES) == 2
    with pytest.raises(FederationError, match="2 of 3 clients.*a round needs 2.*node 8.*damaged"):
        quarantine.check_enough(1, NODES)
    quarantine.check_enough(2, NODES)


def test_a_run_keeps_who_it_was(tmp_path):
    run = RunDirectory.create(tmp_path, "digits", Settings(), app=None)
    quarantine = Quarantine(Patience(1, 5))
    quarantine.write(run)
    assert not (run.path / QUARANTINE).exists()
    quarantine.begin()
    quarantine.note_wrong(2**63, 4, "damaged")
    quarantine.write(run)
    (row,) = run.read_json(QUARANTINE)["set_aside"]
    assert row == {"node": str(2**63), "round": 4, "rounds": 5, "why": "damaged"}


@pytest.mark.parametrize(
    "text", ["after(3)", "after(0, 10)", "after(3, 0)", "sometimes", "never(1)"]
)
def test_mistakes_in_the_setting(text):
    with pytest.raises(UsageError):
        Settings.of(set_aside=text)


@pytest.mark.parametrize("bound", [-1, 0.5, 1, float("inf"), float("nan")])
def test_mistakes_in_the_bound(bound):
    with pytest.raises(UsageError, match="norm-bound"):
        Settings.of(norm_bound=bound)
