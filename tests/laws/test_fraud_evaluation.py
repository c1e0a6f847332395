"""Laws of the evaluation of fraud models, on rows nobody chose."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from frugalfl_sim.rare_cases.alerts import DAY_S
from frugalfl_sim.rare_cases.calibration import probabilities
from frugalfl_sim.rare_cases.evaluation import HeldOut, evaluate

ROW = st.tuples(
    st.integers(0, 1), st.integers(0, 4), st.integers(0, 5), st.integers(0, 50),
    st.integers(0, 2), st.integers(-3, 3),
)  # fmt: skip
ROWS = st.lists(ROW, min_size=1, max_size=40)
BRANCHES = ("a", "b", "c")


def made(rows, delay=2):
    y, day, card, amount, branch, score = (np.array(one) for one in zip(*rows, strict=True))
    held_out = HeldOut(
        y.astype(np.int8), day * DAY_S, card, amount.astype(np.float64), branch, BRANCHES,
        label_delay_days=delay,
    )  # fmt: skip
    return held_out, score.astype(np.float64)


def by_hand(rows, cards_a_day, delay):
    """Return who is left out and the bounds of what can be caught, with loops and sets."""
    first = {}
    for y, day, card, *_ in rows:
        if y:
            first[card] = min(first.get(card, day), day)
    new = [row for row in rows if row[2] not in first or first[row[2]] + delay > row[1]]
    least = most = 0
    for day in {row[1] for row in new}:
        cards = {}
        for y, _, card, _, _, score in (row for row in new if row[1] == day):
            highest, frauds = cards.get(card, (-9, 0))
            cards[card] = (max(highest, score), frauds + y)
        ranked = sorted((-score, frauds) for score, frauds in cards.values())
        least += sum(frauds for _, frauds in ranked[:cards_a_day])
        ranked = sorted((-score, -frauds) for score, frauds in cards.values())
        most -= sum(frauds for _, frauds in ranked[:cards_a_day])
    return sum(row[0] for row in new), least, most


@settings(deadline=None)
@given(ROWS, st.integers(1, 4), st.integers(0, 5))
def test_the_checked_cards_are_those_with_the_highest_scores(rows, cards_a_day, delay):
    held_out, scores = made(rows, delay)
    found = held_out.card_days.alerts(scores, cards_a_day)
    frauds, least, most = by_hand(rows, cards_a_day, delay)
    assert found.frauds == frauds
    assert least <= found.caught <= most  # equal where no score ties


@settings(deadline=None)
@given(ROWS)
def test_figures_stay_in_their_bounds(rows):
    held_out, scores = made(rows)
    found = evaluate(held_out, scores)
    assert 0 <= found.alerts.caught <= found.alerts.frauds <= found.pooled.frauds
    assert 0 <= found.alerts.caught_amount <= found.alerts.amount
    if found.alerts.precision is not None:
        assert 0 <= found.alerts.precision <= found.alerts.best_precision <= 1
    for quality in (found.pooled, *found.branches.values()):
        assert 0 <= quality.calibration_error <= 1
        assert (quality.average_precision is None) == (quality.frauds in (0, quality.rows))
    assert sum(one.rows for one in found.branches.values()) == len(rows)


@settings(deadline=None)
@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(rows, random):
    shuffled = random.sample(rows, len(rows))
    first, second = evaluate(*made(rows)), evaluate(*made(shuffled))
    assert first.alerts == second.alerts
    assert first.precision_recall == second.precision_recall
    np.testing.assert_allclose(first.reliability, second.reliability, atol=2e-6)
    for one, other in zip(
        (first.pooled, *(first.branches[name] for name in sorted(first.branches))),
        (second.pooled, *(second.branches[name] for name in sorted(second.branches))),
        strict=True,
    ):
        assert one.average_precision == other.average_precision
        assert abs(one.calibration_error - other.calibration_error) < 1e-12


@settings(deadline=None)
@given(ROWS)
def test_ranking_does_not_see_how_scores_are_stretched(rows):
    held_out, scores = made(rows)
    first, second = evaluate(held_out, scores), evaluate(held_out, 8 * scores - 3)
    assert first.pooled.average_precision == second.pooled.average_precision
    assert first.alerts == second.alerts


@given(st.floats(-800, 800))
def test_probabilities_of_a_fraud_and_of_none_add_to_one(score):
    assert abs(probabilities(score) + probabilities(-score) - 1) < 1e-15
