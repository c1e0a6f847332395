"""What investigators find who check a fixed number of cards a day, the highest scores first."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from frugalfl.errors import TaskError

DAY_S = 86_400
#: Cards that the bank's investigators check a day; Le Borgne et al., Reproducible Machine Learning
#: for Credit Card Fraud Detection (2022), chapter 4.
CARDS_A_DAY = 100

_Ints = npt.NDArray[np.int64]
_Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Alerts:
    """Card precision, and what it means in frauds and money.

    Cards on which a fraud is known already are left out, with their frauds: they are blocked, and
    finding them again is no merit.

    Attributes:
        cards_a_day: How many are checked.
        days: Days with any card to check.
        precision: Share of the checked cards that had a fraud that day, mean over the days;
            ``None`` without such a day.
        best_precision: What a perfect ranking would reach: on some days fewer cards than are
            checked have a fraud.
        frauds: Fraudulent transactions on cards that were not known.
        caught: Those of them that are on a card checked on the day of the fraud.
        amount: Money of the frauds.
        caught_amount: Money of the caught ones. An alert comes after its transaction, so this is
            what was found, an upper bound of what blocking in time would have saved; later frauds
            on the same card, and the cost of checking, are not in it.
    """

    cards_a_day: int
    days: int
    precision: float | None
    best_precision: float | None
    frauds: int
    caught: int
    amount: float
    caught_amount: float


@dataclass(frozen=True, eq=False)
class CardDays:
    """The rows grouped by day and card, once for all models that score them.

    A day is a calendar day in UTC.

    Attributes:
        y: 0 or 1, shape ``(n,)``.
        time: Seconds since 1970-01-01 UTC, int64, shape ``(n,)``.
        card: Number of the card, int64, shape ``(n,)``.
        amount: Money, float64, shape ``(n,)``.
        earlier_card: Cards of earlier frauds that count as known, int64, shape ``(m,)``.
        earlier_time: When those frauds were, int64, shape ``(m,)``.
        label_delay_days: Days until a fraud is known.
    """

    y: npt.NDArray[np.int8]
    time: _Ints
    card: _Ints
    amount: npt.NDArray[np.float64]
    earlier_card: _Ints
    earlier_time: _Ints
    label_delay_days: int

    def alerts(self, logits: npt.NDArray[np.float64], cards_a_day: int = CARDS_A_DAY) -> Alerts:
        """Check the cards with the highest scores of each day.

        A card's score is that of its highest transaction of the day. Equal scores are ranked by a
        fixed hash of card and day, which knows neither the amount nor the label.

        Args:
            logits: One a row, float64, shape ``(n,)``.
            cards_a_day: How many are checked; on a day with fewer cards, all of them.

        Raises:
            TaskError: ``cards_a_day`` is less than 1.
        """
        if cards_a_day < 1:
            raise TaskError(f"{cards_a_day} cards a day are checked; it must be at least 1")
        new = ~self._known
        day, frauds = self._day[new], self._frauds[new]
        highest = np.maximum.reduceat(logits[self._order], self._starts)[new]
        ranked = np.lexsort((self._lots[new], -highest, day))
        _, firsts, place, cards = np.unique(
            day, return_index=True, return_inverse=True, return_counts=True
        )
        # Groups lie in the order of days, before and after the ranking.
        checked = ranked[np.arange(len(day)) - firsts[place] < cards_a_day]
        hits = np.bincount(place[checked], weights=frauds[checked] > 0, minlength=len(cards))
        possible = np.bincount(place, weights=frauds > 0, minlength=len(cards))
        most = np.minimum(cards, cards_a_day)
        best = np.minimum(possible, most)
        money = self._fraud_amounts[new]
        return Alerts(
            cards_a_day=cards_a_day,
            days=len(cards),
            precision=float((hits / most).mean()) if len(cards) else None,
            best_precision=float((best / most).mean()) if len(cards) else None,
            frauds=int(frauds.sum()),
            caught=int(frauds[checked].sum()),
            amount=float(money.sum()),
            caught_amount=float(money[checked].sum()),
        )

    @cached_property
    def _order(self) -> npt.NDArray[np.intp]:
        return np.lexsort((self.card, self.time // DAY_S))

    @cached_property
    def _starts(self) -> npt.NDArray[np.intp]:
        day, card = (self.time // DAY_S)[self._order], self.card[self._order]
        new = (day[1:] != day[:-1]) | (card[1:] != card[:-1])
        return np.flatnonzero(np.concatenate(([True], new)))

    @cached_property
    def _day(self) -> _Ints:
        return (self.time // DAY_S)[self._order][self._starts]

    @cached_property
    def _card(self) -> _Ints:
        return self.card[self._order][self._starts]

    @cached_property
    def _frauds(self) -> _Ints:
        return np.add.reduceat(self.y[self._order].astype(np.int64), self._starts)

    @cached_property
    def _fraud_amounts(self) -> npt.NDArray[np.float64]:
        return np.add.reduceat((self.amount * (self.y == 1))[self._order], self._starts)

    @cached_property
    def _known(self) -> _Flags:
        """Which groups' cards had a fraud the label delay before, or earlier."""
        fraud = self.y == 1
        cards = np.concatenate((self.earlier_card, self.card[fraud]))
        days = np.concatenate((self.earlier_time, self.time[fraud])) // DAY_S
        if len(cards) == 0:
            return np.zeros(len(self._card), dtype=np.bool_)
        order = np.lexsort((days, cards))
        compromised, firsts = np.unique(cards[order], return_index=True)
        place = np.searchsorted(compromised, self._card).clip(max=len(compromised) - 1)
        since = days[order][firsts][place] + self.label_delay_days
        known: _Flags = (compromised[place] == self._card) & (since <= self._day)
        return known

    @cached_property
    def _lots(self) -> npt.NDArray[np.uint64]:
        """A hash of card and day: SplitMix64's finaliser (Steele et al., OOPSLA 2014)."""
        with np.errstate(over="ignore"):
            z = self._card.astype(np.uint64)
            z += self._day.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            return z ^ (z >> np.uint64(31))
