"""What a device's owner says in the node config, and what becomes of a server's other wishes."""

import pytest

from frugalfl.energy import Ledger
from frugalfl.errors import NotAllowedError, UsageError
from frugalfl.settings import Settings
from frugalfl_client.owner import Owner

from energy_records import RECORD  # isort: skip


def test_an_owner_who_says_nothing_changes_nothing():
    wanted = Settings.of(local_epochs=9, evaluate_rows=100, counters="shared", private="8", prune=0)
    assert Owner.of({"partition-id": 0, "num-partitions": 2}).settled(wanted) == (wanted, [])


REFUSED = [
    ({"counters": "own"}, {"counters": "shared"}, "counters = 'shared'.*counters = 'own'"),
    ({"private": "8, 9"}, {"private": "8"}, "private = '8'.*private = '8, 9'"),
    ({"private": 8}, {}, "private = ''.*private = '8'"),
    ({"trees": "none"}, {"trees": "bagging(20)"}, "trees = 'bagging.*trees = 'none'"),
    ({"task": "task:task"}, {"task": "task:spy"}, "task = 'task:spy'.*task = 'task:task'"),
]


@pytest.mark.parametrize("config, wanted, said", REFUSED)
def test_settings_that_go_too_far_are_refused_with_both_sides_named(config, wanted, said):
    with pytest.raises(NotAllowedError, match=said) as error:
        Owner.of(config).settled(Settings.of(prune=0, **wanted))
    assert str(error.value).isprintable()
    # The same wish as the owner's is none that goes too far.
    kept = Settings.of(private="8, 9", task="task:task", prune=0)
    assert Owner.of(config).settled(kept) == (kept, [])


def test_what_can_be_less_is_less_and_said():
    owner = Owner.of({"local-epochs": 2, "evaluate-rows": 0, "min-battery": 40})
    settings, kept = owner.settled(Settings.of(local_epochs=5, evaluate_rows=64, min_battery=20))
    assert (settings.train.epochs, settings.rounds.evaluate_rows, settings.energy.min_battery) == (
        2,
        0,
        40,
    )
    assert len(kept) == 2 and "local-epochs = 5" in kept[1] and "2 at most" in kept[1]
    assert owner.epochs(4)[0] == 2 and owner.epochs(0) == (0, []) and owner.epochs(1) == (1, [])


@pytest.mark.parametrize(
    "config, about", [({"counters": "own"}, "counters"), ({"trees": "none"}, "trees"),
                      ({"calibration": "public"}, "calibration")],
)  # fmt: skip
def test_questions_are_refused_whatever_the_run_config_says(config, about):
    with pytest.raises(NotAllowedError, match=about):
        Owner.of(config).check_question(about)
    Owner.of(config).check_question("")
    Owner.of({}).check_question(about)


def test_joules_of_a_run_and_of_a_day_come_to_an_end(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.append([RECORD])  # 6 J in run r, long ago
        Owner.of({"energy-budget": 6.1, "energy-a-day": 1}).check_energy(ledger, "r")
        Owner.of({"energy-budget": 1}).check_energy(ledger, "another")
        with pytest.raises(NotAllowedError, match="energy-budget = 6 J, and it has used 6 J"):
            Owner.of({"energy-budget": 6}).check_energy(ledger, "r")


@pytest.mark.parametrize(
    "config, said",
    [({"local-epoch": 2}, "did you mean 'local-epochs'"), ({"partion-id": 0}, "partition-id"),
     ({"local-epochs": 0}, "from 1"), ({"local-epochs": "two"}, "whole number"),
     ({"counters": "mine"}, "own or shared"), ({"energy-budget": -1}, "above 0"),
     ({"evaluate-rows": True}, "whole number"), ({"min-battery": 100}, "below 100")],
)  # fmt: skip
def test_a_slip_of_the_pen_is_found_before_anything_else(config, said):
    with pytest.raises(UsageError, match=said):
        Owner.of(config)
