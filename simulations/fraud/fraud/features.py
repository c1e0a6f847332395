"""What a model sees of a transaction: float32 numbers made of this row and earlier ones.

Every scale is a fixed constant and no statistic of the rows enters, so nothing is learned from
other branches by accident. Amounts and counts are (log1p - 2) / 2, risks are square roots.

A card's windows end with the transaction itself. A terminal's end one label delay before it: only
by then is it known what was fraud.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fraud.config import Config
from fraud.counters import BLOCK_S, FRAUD_PERIOD_S, counters, key_of, span_of
from fraud.schema import DAY, Transactions
from frugalfl.errors import UsageError
from frugalfl.sums import Table

Column = npt.NDArray[Any]

CARD_DAYS = (1, 7, 30)
RISK_DAYS = (1, 7, 30)
#: A terminal is taken to have had one transaction in so many days before anything was counted, so
#: that one fraud at a new terminal is not an infinite risk.
_PRIOR_DAYS = 28
_NIGHT_ENDS_S = 6 * 3600
#: 1970-01-01 was a Thursday.
_FIRST_WEEKDAY = 3


def names(config: Config) -> tuple[str, ...]:
    """Return the name of each feature, in the order of the columns of `features`."""
    found = ["amount", "weekend", "night", "hour"]
    if config.has_card:
        found += [f"card_{what}_{days}d" for days in CARD_DAYS for what in ("count", "mean")]
    if config.has_terminal:
        found += [f"terminal_risk_{days}d" for days in RISK_DAYS] + ["terminal_daily"]
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
    return np.column_stack([*columns, transactions.extra]).astype(np.float32)


def _logarithm(values: Column) -> Column:
    scaled: Column = (np.log1p(values) - 2) / 2
    return scaled


def _of_cards(transactions: Transactions) -> list[Column]:
    """Return count and mean amount of the card in windows that end with each row."""
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
    return columns


def _of_terminals(
    transactions: Transactions, config: Config, tables: Mapping[str, Table]
) -> list[Column]:
    """Return the risk of the terminal in windows that end a label delay before each row."""
    start, stop = span_of(transactions, config)
    frauds, blocks = tables["frauds"], tables["transactions"]
    keys = key_of(transactions.terminal, config)
    row = np.searchsorted(frauds.keys, keys)
    if (
        not np.array_equal(frauds.keys, blocks.keys)
        or frauds.counts.shape[1] != -(-(stop - start) // FRAUD_PERIOD_S)
        or blocks.counts.shape[1] != -(-(stop - start) // BLOCK_S)
        or not np.array_equal(frauds.keys.take(row, mode="clip"), keys)
    ):
        raise UsageError("the totals are not of this branch's terminals and days; count again")
    known = np.maximum(transactions.time - config.label_delay_days * DAY - start, 0)

    whole = np.minimum(known // BLOCK_S, blocks.counts.shape[1])
    seen = np.pad(np.cumsum(blocks.counts, axis=1, dtype=np.int64), ((0, 0), (1, 0)))
    daily = (seen[row, whole] + 1) / (whole * (BLOCK_S // DAY) + _PRIOR_DAYS)

    end = np.minimum(known // FRAUD_PERIOD_S, frauds.counts.shape[1])
    so_far = np.pad(np.cumsum(frauds.counts, axis=1, dtype=np.int32), ((0, 0), (1, 0)))
    columns: list[Column] = []
    for days in RISK_DAYS:
        begin = np.maximum(end - days * DAY // FRAUD_PERIOD_S, 0)
        columns.append(np.sqrt((so_far[row, end] - so_far[row, begin]) / (daily * days)))
    return [*columns, _logarithm(daily * 7)]
