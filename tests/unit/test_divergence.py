"""A subspace whose training goes astray goes back to where it was sound, with shorter steps."""

from math import inf

import numpy as np
import pytest
from tests.logged import Lines

from frugalfl_server.rounds.divergence import Divergence
from frugalfl_server.rounds.traffic import Traffic


def at(value):
    return {"coordinates": np.full(3, value, np.float32)}


def watched(losses, fold=1):
    """Watch rounds that begin with the coordinates 0, 1, 2, ...; return what each goes on with."""
    guard = Divergence()
    return guard, [
        guard.watch(number + 1, loss, at(number), fold) for number, loss in enumerate(losses)
    ]


def test_a_loss_far_above_the_first_leads_back_to_the_beginning_of_the_last_sound_round() -> None:
    with Lines() as lines:
        guard, ways = watched([2.3, 1.9, 1.2, 9.0])
    assert ways[:3] == [None] * 3
    assert ways[3]["coordinates"].tolist() == [2, 2, 2]
    assert guard.factor == 0.5
    assert len(lines) == 1
    assert "round 4" in lines[0]
    assert "2 times shorter" in lines[0]


def test_astray_again_halves_again() -> None:
    guard, ways = watched([2.3, 9.0, 2.0, 9.0, 2.0, 9.0])
    assert guard.factor == 1 / 8
    assert ways[5]["coordinates"].tolist() == [4, 4, 4]


def test_coordinates_that_no_frame_can_hold_lead_back_even_from_the_first_round() -> None:
    with Lines() as lines:
        guard, ways = watched([inf, 2.0, 1.9])
    assert ways[0] is not None
    assert ways[0]["coordinates"].tolist() == [0, 0, 0]
    assert ways[1:] == [None, None]
    assert guard.factor == 0.5
    assert "beyond what a model can hold" in lines[0]


def test_beyond_a_fold_it_leads_back_to_its_beginning() -> None:
    guard, _ = watched([2.3, 1.9])
    way = guard.watch(3, 9.0, at(7), fold=20)
    assert way is not None
    assert way["coordinates"].tolist() == [0, 0, 0]


@pytest.mark.parametrize("losses", [[2.3, None, 2.2, 3.0], [-1.0, 5.0, -2.0], [0.0, 9.0], [9.0]])
def test_what_cannot_be_told_from_learning_changes_nothing(losses) -> None:
    guard, ways = watched(losses)
    assert ways == [None] * len(losses)
    assert guard.factor == 1


def test_a_restored_guard_goes_on_as_the_one_that_was_kept() -> None:
    guard, _ = watched([2.3, 1.9, 9.0, 1.9])
    other = Divergence()
    other.restore(guard.state())
    one, same = guard.watch(5, 9.0, at(5), 1), other.watch(5, 9.0, at(5), 1)
    assert one is not None
    assert same is not None
    assert np.array_equal(one["coordinates"], same["coordinates"])
    assert guard.factor == other.factor == 1 / 4


def test_one_client_that_claims_a_huge_loss_moves_nothing() -> None:
    guard = Divergence()
    for number in range(1, 9):
        traffic = Traffic(number)
        traffic.losses += [2.0 / number + 0.1 * client for client in range(7)]
        traffic.losses.append(1e15 if number > 2 else 2.0)
        assert guard.watch(number, traffic.usual_loss, at(number), fold=1) is None
    assert guard.factor == 1
    assert Traffic(9).usual_loss is None
