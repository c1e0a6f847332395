"""Nodes that say they are others, and heads that were never told, in real rounds (`attacking`)."""

import pytest
from attacking import identity

from frugalfl.energy import Ledger


def assert_refused(outcomes):
    for outcome in outcomes:
        assert outcome.refused and outcome.run_went_on is not False, outcome
        assert outcome.line.isprintable(), outcome


def test_a_number_is_held_by_one_node(tmp_path):
    assert_refused(identity.claims(tmp_path))


def test_an_honest_ledger_is_not_accused_by_what_it_never_told(tmp_path):
    held = identity.hold(tmp_path / "run", rounds=1)
    identity.forged_row(held, 1)
    assert held.faults(1) == []


def test_a_ledger_that_was_written_anew_is_not_taken_for_the_one_that_was_told(tmp_path):
    held = identity.hold(tmp_path / "run", rounds=1)
    with Ledger(held.ledger(1)) as old:
        records = old.records()
    held.ledger(1).unlink()
    with Ledger(held.ledger(1)) as anew:
        anew.append(records)
    (fault,) = held.faults(1)
    assert "by another ledger, none by this one" in fault


@pytest.mark.slow
def test_every_attack_is_refused(tmp_path):
    assert_refused(identity.attacks(tmp_path, quick=False))
