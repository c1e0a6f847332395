"""What is known of a tensor, and where in it the rows of a batch are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from math import prod
from typing import NamedTuple

import numpy as np

from frugalfl.flow.flat_tables import FlatTable
from frugalfl.flow.graph import Array, Shape

#: Entries up to which constants of whole numbers are computed, not only where they lie.
_MOST_FOLDED = 1 << 15


class Knows(IntEnum):
    """What a tensor's values depend on."""

    NOTHING = 0
    """Constants, parameters, optimiser state, step sizes: nothing of this batch."""
    SUMS = 1
    """Sums over the batch, and what is computed of them: the order of the rows does not matter."""
    ROWS = 2
    """Each entry on one row (and on sums), the same function for every row."""
    RANGES = 3
    """Smallest and largest values of whole tensors, and nothing else of the batch."""


@dataclass(frozen=True)
class Fact:
    """What is known of a tensor.

    Attributes:
        shape: Its shape.
        knows: What it depends on.
        stride: Of rows: the entry at flat place ``i`` is of row ``i // stride % batch``.
        zero: Whether it is 0 in every row whose weight ``w`` is 0; of a constant: whether it is 0.
        value: A constant's values.
        even: Of a tensor without rows: axes along which all entries are the same.
    """

    shape: Shape
    knows: Knows = Knows.NOTHING
    stride: int = 0
    zero: bool = False
    value: Array | None = None
    even: frozenset[int] = frozenset()

    @property
    def rows(self) -> bool:
        """Whether it has rows."""
        return self.knows is Knows.ROWS


class RowAxis(NamedTuple):
    """Where rows are: in which axis, and how many entries of that axis one row takes in a run."""

    axis: int
    run: int


class NotShownError(Exception):
    """An operator that is not shown to treat all rows alike; says why."""


@dataclass(frozen=True)
class Step:
    """One operator with what is known of its inputs.

    Attributes:
        given: Facts of its inputs; ``None`` for one that is left out.
        options: Its options, ``None`` for defaults.
        batch: Rows of a batch.
        signature: Whose graph it is in.
    """

    given: tuple[Fact | None, ...]
    options: FlatTable | None
    batch: int
    signature: str

    def input(self, number: int) -> Fact:
        """Return what is known of an input that must be there."""
        fact = self.given[number] if number < len(self.given) else None
        if fact is None:
            raise NotShownError(f"lacks its input {number}")
        return fact

    def optional(self, number: int) -> Fact | None:
        """Return what is known of an input that may be left out."""
        return self.given[number] if number < len(self.given) else None

    def numbers(self, number: int) -> list[int]:
        """Return an input that must be a constant of whole numbers, such as axes."""
        value = self.input(number).value
        if value is None or value.dtype.kind != "i" or value.ndim > 2:
            raise NotShownError("takes its axes or its shape from the rows or the server's tensors")
        return [int(one) for one in value.reshape(-1)]

    def option(self, field: int, code: str = "i", default: int = 0) -> int:
        """Return one of its options."""
        return default if self.options is None else self.options.whole(field, code, default)

    def place(self, fact: Fact) -> RowAxis:
        """Return where a tensor's rows are.

        Raises:
            NotShownError: A row is not a run within one axis.
        """
        inner = 1
        for axis in range(len(fact.shape) - 1, -1, -1):
            outer = inner * fact.shape[axis]
            if inner <= fact.stride < outer:
                whole = fact.stride % inner == 0 and outer % (fact.stride * self.batch) == 0
                if not whole:
                    break
                return RowAxis(axis, fact.stride // inner)
            inner = outer
        raise NotShownError("takes apart the axis of the batch")


#: A rule: an operator with what it is given, to what it makes.
Rule = Callable[[Step], list[Fact]]


def with_rows(shape: Shape, place: RowAxis, zero: bool) -> Fact:
    """Return the fact of a tensor whose rows are there."""
    return Fact(shape, Knows.ROWS, place.run * prod(shape[place.axis + 1 :]), zero)


def join_facts(facts: Sequence[Fact]) -> Knows:
    """Return what something computed of all these knows, if none has rows."""
    return max((fact.knows for fact in facts), default=Knows.NOTHING)


def reshape_fact(fact: Fact, shape: Shape) -> Fact:
    """Return the same entries in another shape; the flat order, and so the stride, stays."""
    if prod(shape) != prod(fact.shape):
        raise NotShownError(f"makes {shape} of {fact.shape}")
    value = None if fact.value is None else fact.value.reshape(shape)
    before, after = _spans(fact.shape), _spans(shape)
    even = {axis for axis, span in enumerate(after) if span in {before[one] for one in fact.even}}
    return replace(fact, shape=shape, value=value, even=frozenset(even))


def _spans(shape: Shape) -> list[tuple[int, int]]:
    """Return the entries of each axis, and those of the axes behind it."""
    return [(length, prod(shape[axis + 1 :])) for axis, length in enumerate(shape)]


def even_axes(fact: Fact) -> frozenset[int]:
    """Return the axes along which all entries of a tensor without rows are the same."""
    if fact.value is None:
        return fact.even | {axis for axis, length in enumerate(fact.shape) if length == 1}
    return frozenset(
        axis for axis in range(len(fact.shape)) if _all_same(np.moveaxis(fact.value, axis, 0))
    )


def is_index(fact: Fact, shape: Shape) -> bool:
    """Say whether a constant of whole numbers can be followed to this shape: it is small."""
    return fact.value is not None and fact.value.dtype.kind == "i" and prod(shape) <= _MOST_FOLDED


def _all_same(parts: Array) -> bool:
    """Say whether all parts along the first axis have the same bits."""
    first = np.ascontiguousarray(parts[0]).tobytes()
    return all(np.ascontiguousarray(part).tobytes() == first for part in parts[1:])


def is_even(fact: Fact, place: RowAxis, batch: int) -> bool:
    """Say whether a tensor without rows is the same for every row, if rows lie there."""
    if place.axis < 0 or fact.shape[place.axis] == 1 or place.axis in fact.even:
        return True
    if fact.value is None:
        return False
    before, after = fact.shape[: place.axis], fact.shape[place.axis + 1 :]
    apart = np.ascontiguousarray(fact.value).reshape(*before, -1, batch, place.run, *after)
    return _all_same(np.moveaxis(apart, len(before) + 1, 0))
