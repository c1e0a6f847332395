"""Card precision: who is checked, who is left out, and what was found."""

import numpy as np
import pytest

from frugalfl.errors import TaskError
from frugalfl_sim.rare_cases.alerts import DAY_S, CardDays


def card_days(rows, earlier=(), delay=7) -> CardDays:
    """Rows of (day, card, fraud, amount)."""
    day, card, y, amount = (np.array(column) for column in zip(*rows, strict=True))
    earlier_day, earlier_card = np.array(earlier, dtype=np.int64).reshape(-1, 2).T
    return CardDays(
        y.astype(np.int8), day.astype(np.int64) * DAY_S + 60, card.astype(np.int64),
        amount.astype(np.float64), earlier_card, earlier_day * DAY_S, delay,
    )  # fmt: skip


def scores(*values) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def test_cards_are_ranked_by_their_highest_score_of_the_day():
    # Card 1 has the highest score on day 0; its fraud is another transaction of that day.
    rows = [(0, 1, 0, 5), (0, 1, 1, 70), (0, 2, 0, 5), (1, 1, 0, 5), (1, 2, 1, 30), (1, 3, 0, 5)]
    found = card_days(rows).alerts(scores(9, -9, 8, 1, 2, 3), cards_a_day=1)
    assert (found.days, found.precision, found.best_precision) == (2, 0.5, 1.0)
    assert (found.frauds, found.caught, found.amount, found.caught_amount) == (2, 1, 100.0, 70.0)


def test_a_card_is_left_out_once_its_fraud_is_known_and_not_before():
    rows = [(0, 1, 1, 10), (6, 1, 1, 20), (6, 2, 0, 5), (7, 1, 1, 40), (7, 2, 1, 80)]
    found = card_days(rows).alerts(scores(3, 3, 1, 3, 1), cards_a_day=1)
    assert (found.frauds, found.caught, found.caught_amount) == (3, 3, 110.0)
    assert found.precision == 1.0  # on day 7 card 2 is the first that is checked


def test_frauds_before_the_held_out_rows_count_as_known():
    rows = [(7, 1, 1, 10), (7, 2, 0, 5)]
    assert card_days(rows, earlier=[(0, 1)]).alerts(scores(2, 1), 1).frauds == 0
    assert card_days(rows, earlier=[(1, 1), (0, 3)]).alerts(scores(2, 1), 1).frauds == 1


def test_with_fewer_cards_than_are_checked_the_share_is_of_those_there_are():
    found = card_days([(0, 1, 1, 10), (0, 2, 0, 5)]).alerts(scores(-1, 1), cards_a_day=100)
    assert (found.precision, found.best_precision) == (0.5, 0.5)


def test_a_perfect_ranking_cannot_find_more_cards_than_had_a_fraud():
    rows = [(0, card, int(card == 1), 5) for card in range(4)]
    found = card_days(rows).alerts(scores(0, 1, 0, 0), cards_a_day=2)
    assert found.precision == found.best_precision == 0.5


def test_without_a_card_to_check_precision_is_unknown():
    found = card_days([(9, 1, 1, 10)], earlier=[(0, 1)]).alerts(scores(1), 1)
    assert (found.days, found.precision, found.best_precision, found.caught) == (0, None, None, 0)


def test_ties_favour_neither_the_fraud_nor_the_order_of_the_rows():
    rows = [(day, card, int(card == 3), 5) for day in range(400) for card in range(10)]
    even = scores(*[0] * len(rows))
    found = card_days(rows, delay=1000).alerts(even, cards_a_day=5)
    assert found.precision == pytest.approx(
        0.1, abs=0.02
    )  # one fraud a day, found half of the days, of 5
    assert card_days(rows[::-1], delay=1000).alerts(even, cards_a_day=5) == found


def test_no_card_a_day_is_refused():
    with pytest.raises(TaskError, match="at least 1"):
        card_days([(0, 1, 1, 10)]).alerts(scores(1), cards_a_day=0)
