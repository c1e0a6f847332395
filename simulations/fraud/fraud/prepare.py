"""What a branch does to its own transactions before training: clean, split, thin out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import log

import numpy as np
import numpy.typing as npt

from fraud.config import Config, day_of
from fraud.counters import span_of
from fraud.features import features
from fraud.schema import DAY, Transactions
from frugalfl import Examples
from frugalfl.errors import TaskError
from frugalfl.sums import Table
from frugalfl_client.data.keyed_hash import fraction, mixed

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Split:
    """Seconds at which the parts of the data begin and end: train | delay | test.

    What comes before ``train_start`` is only looked back to.
    """

    train_start: int
    train_stop: int
    test_start: int
    test_stop: int


@dataclass(frozen=True)
class Prepared:
    """A branch, ready for training and testing.

    Attributes:
        train: Features and labels of the rows to train on, genuine ones thinned out.
        test_x: Features of every row of the test days, float32 (n, features).
        test_y: 0 or 1, int64 (n,).
        test_time: Seconds since 1970 UTC, int64 (n,).
        test_card: int64 (n,).
        test_amount: float64 (n,).
        correction: What to add to a model's log odds, since it saw too few genuine rows.
        notes: What was done to the rows, a line each.
    """

    train: Examples
    test_x: npt.NDArray[np.float32]
    test_y: npt.NDArray[np.int64]
    test_time: npt.NDArray[np.int64]
    test_card: npt.NDArray[np.int64]
    test_amount: npt.NDArray[np.float64]
    correction: float
    notes: tuple[str, ...]


def correction(keep_negatives: float) -> float:
    """Return what to add to log odds learnt with a share of the negatives (Dal Pozzolo 2015).

    >>> round(correction(0.1), 3)
    -2.303
    """
    return log(keep_negatives)


def split_of(transactions: Transactions, config: Config) -> Split:
    """Return the split by time.

    Raises:
        TaskError: The data do not have enough days.
    """
    start, stop = span_of(transactions, config)
    test_start = stop - config.test_days * DAY
    train_stop = test_start - config.label_delay_days * DAY
    train_start = train_stop - config.train_days * DAY
    if train_stop <= start:
        raise TaskError(
            f"{(stop - start) // DAY} days of data are too few for {config.test_days} to test and "
            f"{config.label_delay_days} of label delay before; lower test-days or label-delay-days"
        )
    return Split(max(train_start, start), train_stop, test_start, stop)


def clean(transactions: Transactions, config: Config) -> tuple[Transactions, tuple[str, ...]]:
    """Drop repeated rows and those outside of the config's days; say what was dropped.

    Rows are the same when id, time, card, terminal and amount are: without id and time, two
    payments of one price would be taken for one.
    """
    start, stop = span_of(transactions, config)
    notes = []
    inside = (transactions.time >= start) & (transactions.time < stop)
    if not inside.all():
        first, last = day_of(start // DAY), day_of(stop // DAY - 1)
        notes.append(f"{int((~inside).sum()):,} rows outside of {first} to {last} dropped")
        transactions = transactions.take(inside)
        if len(transactions) == 0:
            raise TaskError(
                f"no transaction is within {first} to {last}; correct first-day and last-day"
            )
    repeated = _repeated(transactions, config.salt)
    if repeated.any():
        notes.append(f"{int(repeated.sum()):,} repeated rows dropped")
        transactions = transactions.take(~repeated)
    ids = np.sort(transactions.id)
    twice = int((ids[1:] == ids[:-1]).sum())
    if twice:
        notes.append(f"{twice:,} rows have the id of another, different row: kept")
    return transactions, tuple(notes)


def prepare(
    transactions: Transactions, config: Config, totals: Mapping[str, Table] | None = None
) -> Prepared:
    """Make examples of a branch's cleaned transactions.

    Args:
        transactions: As `clean` leaves them.
        config: Days, share of negatives, smallest amount.
        totals: See `features`.

    Raises:
        TaskError: No transactions in the training or the test days.
    """
    parts = split_of(transactions, config)
    time, fraud = transactions.time, transactions.fraud
    training = (time >= parts.train_start) & (time < parts.train_stop)
    test = (time >= parts.test_start) & (time < parts.test_stop)
    for name, rows, begin, end in (
        ("training", training, parts.train_start, parts.train_stop),
        ("test", test, parts.test_start, parts.test_stop),
    ):
        if not rows.any():
            raise TaskError(
                f"no transactions in the {name} days {day_of(begin // DAY)} to "
                f"{day_of(end // DAY - 1)}; correct the days in pilot.toml"
            )
    notes = []
    if config.smallest_amount > 0:
        small = training & (transactions.amount < config.smallest_amount)
        notes.append(
            f"{int(small.sum()):,} training rows below {config.smallest_amount:g} left out, "
            f"{int(fraud[small].sum()):,} frauds among them; scoring leaves none out"
        )
        training &= ~small
    drawn = fraction(mixed([transactions.id], config.salt))
    kept = training & ((fraud == 1) | (drawn < config.keep_negatives))
    frauds, genuine = int(fraud[kept].sum()), int((fraud[kept] == 0).sum())
    notes.append(f"{genuine:,} of {int(training.sum()) - frauds:,} genuine rows kept for training")
    if frauds == 0:
        notes.append("no fraud in the training days: this branch gives genuine rows only")
    elif genuine == 0:
        notes.append("no genuine row in the training days: this branch gives frauds only")
    x = features(transactions, config, totals)
    return Prepared(
        train=Examples(x[kept], fraud[kept].astype(np.int64)),
        test_x=x[test],
        test_y=fraud[test].astype(np.int64),
        test_time=time[test],
        test_card=transactions.card[test],
        test_amount=transactions.amount[test],
        correction=correction(config.keep_negatives),
        notes=tuple(notes),
    )


def need_both_classes(training: Iterable[Examples]) -> None:
    """Refuse training where all branches together have no fraud, or nothing else.

    Raises:
        TaskError: Only one class.
    """
    labels = [part.y for part in training]
    rows, frauds = sum(map(len, labels)), sum(int(part.sum()) for part in labels)
    if frauds in (0, rows):
        raise TaskError(
            f"{'no' if frauds == 0 else 'nothing but'} fraud among {rows:,} training rows of "
            f"{len(labels)} branches: nothing to learn; add days, or check the column fraud"
        )


def _repeated(transactions: Transactions, salt: str) -> Mask:
    """Return which rows are the same as an earlier one."""
    columns = [
        transactions.id, transactions.time, transactions.card, transactions.terminal,
        transactions.amount,
    ]  # fmt: skip
    hashes = mixed(columns, salt)
    ordered = np.sort(hashes)
    if not np.any(ordered[1:] == ordered[:-1]):
        return np.zeros(len(hashes), np.bool_)
    _, first, which = np.unique(hashes, return_index=True, return_inverse=True)
    earlier = first[which]
    same: Mask = earlier != np.arange(len(hashes))
    for column in columns:  # equal hashes of different rows are no repetition
        same &= column == column[earlier]
    return same
