"""What a model sees of a transaction: float32 numbers made of this row and earlier ones.

Every scale is a fixed constant and no statistic of the rows enters, so nothing is learned from
other branches by accident. Amounts and counts are (log1p - 2) / 2.

A card's windows end with the transaction itself, and ``card_ratio`` is the amount over the mean of
the card's earlier ones in the longest window (the difference of their log1p; 0 for the first one).
A terminal's windows end one label delay before the transaction, on a full quarter of a day: only
what is known by then may count. Its risk in a window is the log1p of its frauds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fraud.config import Config
from fraud.counters import PERIOD_S, counters, key_of, span_of
from fraud.schema import DAY, Transactions
from frugalfl.errors import UsageError
from frugalfl.sums import Table

Column = npt.NDArray[Any]

CARD_DAYS = (1, 7, 30)
RISK_DAYS = (1, 7, 30)
_NIGHT_ENDS_S = 6 * 3600
#: 1970-01-01 was a Thursday.
_FIRST_WEEKDAY = 3


def names(config: Config) -> tuple[str, ...]:
    """Return the name of each feature, in the order of the columns of `features`."""
    found = ["amount", "weekend", "night", "hour"]
    if config.has_card:
        found += [f"card_{what}_{days}d" for days in CARD_DAYS for what in ("count", "mean")]
        found.append("card_ratio")
    if config.has_terminal:
        found += [f"terminal_risk_{days}d" for days in RISK_DAYS]
    return (*found, *config.extra)


def features(
    transactions: Transactions, config: Config, totals: Mapping[str, Table] | None = None
) -> npt.NDArray[np.float32]:
    """Return the features of all rows of a branch.

    Args:
        transactions: Of one branch, in the order of time, with all rows that windows look back to.
        config: Which columns there are; label delay, days and salt.
        totals: `counters` of all branches together, for this branch's keys; ``None``: the counters
            of these rows alone.

    Returns:
        float32 (n, features), as `names` says.

    Raises:
        UsageError: Totals that are not of this branch's terminals and days.
    """
    second = transactions.time % DAY
    columns: list[Column] = [
        _logarithm(transactions.amount),
        (transactions.day + _FIRST_WEEKDAY) % 7 >= 5,
        second < _NIGHT_ENDS_S,
        second / DAY - 0.5,
    ]
    if config.has_card:
        columns += _of_cards(transactions)
    if config.has_terminal:
        own = counters(transactions, config)
        columns += _of_terminals(transactions, config, own if totals is None else totals)
    found = np.empty((len(transactions), len(names(config))), np.float32)
    for place, column in enumerate([*columns, *transactions.extra.T]):
        found[:, place] = column
    return found


def _logarithm(values: Column) -> Column:
    scaled: Column = (np.log1p(values) - 2) / 2
    return scaled


def _of_cards(transactions: Transactions) -> list[Column]:
    """Return count and mean amount of the card in windows that end with each row, and its ratio."""
    order = np.lexsort((np.arange(len(transactions)), transactions.time, transactions.card))
    _, card = np.unique(transactions.card[order], return_inverse=True)
    time = transactions.time[order] - transactions.time.min()
    # Cards one after the other on one axis, so far apart that no window reaches the card before.
    place = card * (time.max() + (max(CARD_DAYS) + 1) * DAY) + time
    # Whole hundredths: sums are exact, and so the same whatever other rows there are.
    hundredths = np.rint(transactions.amount[order] * 100).astype(np.int64)
    until = np.concatenate([[0], np.cumsum(hundredths)])
    here = np.arange(len(order))
    back = np.empty_like(order)
    back[order] = here
    columns = []
    for days in CARD_DAYS:
        begin = np.searchsorted(place, place - days * DAY, side="right")
        count = here + 1 - begin
        mean = (until[here + 1] - until[begin]) / count / 100
        columns += [_logarithm(count)[back], _logarithm(mean)[back]]
    begin = np.searchsorted(place, place - max(CARD_DAYS) * DAY, side="right")
    before = (until[here] - until[begin]) / np.maximum(here - begin, 1)
    usual = np.where(here > begin, before, hundredths) / 100
    return [*columns, (np.log1p(hundredths / 100) - np.log1p(usual))[back]]


def _of_terminals(
    transactions: Transactions, config: Config, tables: Mapping[str, Table]
) -> list[Column]:
    """Return the frauds at the terminal in windows that end a label delay before each row."""
    start, stop = span_of(transactions, config)
    frauds = tables["frauds"]
    periods = (stop - start) // PERIOD_S
    keys = key_of(transactions.terminal, config)
    row = np.searchsorted(frauds.keys, keys)
    if frauds.counts.shape[1] != periods or not np.array_equal(
        frauds.keys.take(row, mode="clip"), keys
    ):
        raise UsageError("the totals are not of this branch's terminals and days; count again")
    so_far = np.pad(np.cumsum(frauds.counts, axis=1, dtype=np.int32), ((0, 0), (1, 0)))
    known = transactions.time - config.label_delay_days * DAY - start
    end = np.clip(known // PERIOD_S, 0, periods)
    columns: list[Column] = []
    for days in RISK_DAYS:
        begin = np.maximum(end - days * DAY // PERIOD_S, 0)
        columns.append(np.log1p(so_far[row, end] - so_far[row, begin]))
    return columns
