"""One table of card transactions, whatever file it came from.

| column | type | meaning |
| --- | --- | --- |
| id | int64 | of the transaction |
| time | int64 | seconds since 1970-01-01 00:00 UTC |
| card | int64 | the card or customer; all -1 where the file has none |
| terminal | int64 | the terminal or merchant; all -1 where the file has none |
| amount | float64 | from 0 up to `LARGEST_AMOUNT`, in any currency |
| fraud | int8 | 1 or 0 |
| extra | float32 (n, k) | further numbers that the bank has |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from frugalfl.errors import TaskError

#: Sums of a window stay exact in 64-bit hundredths up to here.
LARGEST_AMOUNT = 1e12
#: What `card` and `terminal` hold where a file has no such column.
NONE = -1
DAY = 86_400

_TYPES = {
    "id": np.int64, "time": np.int64, "card": np.int64, "terminal": np.int64,
    "amount": np.float64, "fraud": np.int8, "extra": np.float32,
}  # fmt: skip


@dataclass(frozen=True)
class Transactions:
    """Transactions of one branch, one a row, in the order of time.

    Attributes:
        id: Of each transaction, int64 (n,).
        time: Seconds since 1970-01-01 UTC, int64 (n,).
        card: int64 (n,).
        terminal: int64 (n,).
        amount: float64 (n,).
        fraud: 0 or 1, int8 (n,).
        extra: Further features, float32 (n, k); k may be 0.
        extra_names: Name of each of them.
    """

    id: npt.NDArray[np.int64]
    time: npt.NDArray[np.int64]
    card: npt.NDArray[np.int64]
    terminal: npt.NDArray[np.int64]
    amount: npt.NDArray[np.float64]
    fraud: npt.NDArray[np.int8]
    extra: npt.NDArray[np.float32]
    extra_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.id)

    @property
    def day(self) -> npt.NDArray[np.int64]:
        """Days since 1970-01-01 UTC, int64 (n,)."""
        return self.time // DAY

    def take(self, rows: npt.NDArray[Any] | slice) -> Transactions:
        """Return some rows: a mask, row numbers or a slice."""
        return replace(self, **{name: getattr(self, name)[rows] for name in _TYPES})

    def in_order(self) -> Transactions:
        """Return the rows in the order of time; those of the same second stay as they were."""
        if bool(np.all(self.time[1:] >= self.time[:-1])):
            return self
        return self.take(np.argsort(self.time, kind="stable"))

    def check(self, source: str) -> Transactions:
        """Return self, or say what is wrong with the first wrong row.

        Order is not asked for here: `in_order` makes it.

        Args:
            source: Named in the message: a file.

        Raises:
            TaskError: Columns of different lengths or types, no rows, or a value out of range.
        """
        for name, dtype in _TYPES.items():
            column = getattr(self, name)
            if column.dtype != dtype or column.ndim != 1 + (name == "extra"):
                raise TaskError(
                    f"{source}: column {name} is {column.dtype} of {column.ndim} dimensions; "
                    f"it must be {np.dtype(dtype)} of {1 + (name == 'extra')}"
                )
            if len(column) != len(self.id):
                raise TaskError(
                    f"{source}: column {name} has {len(column)} rows but id has {len(self.id)}; "
                    "every column needs a value in every row"
                )
        if self.extra.shape[1] != len(self.extra_names):
            raise TaskError(
                f"{source}: {self.extra.shape[1]} extra columns but {len(self.extra_names)} names; "
                "name each of them"
            )
        if len(self) == 0:
            raise TaskError(f"{source}: there are no transactions; leave this branch out")
        _refuse(~np.isfinite(self.amount), source, "amount", self.amount, "fill or drop it")
        _refuse(
            self.amount < 0, source, "amount", self.amount,
            "amounts are 0 or more: refunds do not belong here",
        )  # fmt: skip
        _refuse(
            self.amount > LARGEST_AMOUNT, source, "amount", self.amount,
            f"amounts go up to {LARGEST_AMOUNT:g}: use a larger unit",
        )  # fmt: skip
        _refuse(
            (self.fraud != 0) & (self.fraud != 1), source, "fraud", self.fraud,
            "it must be 0 or 1",
        )  # fmt: skip
        for name, column in zip(self.extra_names, self.extra.T, strict=True):
            _refuse(~np.isfinite(column), source, name, column, "fill or drop it")
        return self


def concatenate(parts: Sequence[Transactions]) -> Transactions:
    """Join tables with the same extra columns into one, in the order of time.

    Raises:
        TaskError: No table, or tables of different extra columns.
    """
    if not parts:
        raise TaskError("there are no transactions to join")
    if len({part.extra_names for part in parts}) > 1:
        raise TaskError("branches have different extra columns; give all the same ones")
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _TYPES}
    return Transactions(**joined, extra_names=parts[0].extra_names).in_order()


def empty_extra(rows: int) -> npt.NDArray[np.float32]:
    """Return the ``extra`` of a table that has none."""
    return np.empty((rows, 0), np.float32)


def fingerprint(transactions: Transactions) -> str:
    """Return 16 hexadecimal digits that change with any value of any row."""
    digest = blake2b(digest_size=8)
    for name, dtype in _TYPES.items():
        digest.update(np.ascontiguousarray(getattr(transactions, name), dtype).tobytes())
    return digest.hexdigest()


def _refuse(
    bad: npt.NDArray[np.bool_], source: str, column: str, values: npt.NDArray[Any], what: str
) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        many = int(bad.sum())
        others = f" ({many} such rows)" if many > 1 else ""
        raise TaskError(
            f"{source}: column {column}, row {row + 1} of the data: {values[row]:g}; {what}{others}"
        )
