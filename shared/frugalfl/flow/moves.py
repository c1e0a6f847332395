"""Rules of operators that move entries: reshape, transpose, slice, pad, join, reverse."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from frugalfl.flow.graph import Shape
from frugalfl.flow.tensor_facts import (
    Fact,
    Knows,
    NotShownError,
    RowAxis,
    Step,
    even_axes,
    is_even,
    is_index,
    join_facts,
    reshape_fact,
    with_rows,
)  # fmt: skip


def reshape(step: Step) -> list[Fact]:
    """RESHAPE, to a constant shape."""
    one, shape = step.input(0), step.numbers(1)
    if len(step.input(1).shape) != 1:
        raise NotShownError("takes its shape from no vector")
    if -1 in shape:
        known = prod(axis for axis in shape if axis != -1)
        shape[shape.index(-1)] = prod(one.shape) // max(known, 1)
    return [reshape_fact(one, tuple(shape))]


def transpose(step: Step) -> list[Fact]:
    """TRANSPOSE."""
    one, order = step.input(0), step.numbers(1)
    if sorted(order) != list(range(len(one.shape))):
        raise NotShownError(f"moves axes to {order}")
    shape = tuple(one.shape[axis] for axis in order)
    if not one.rows:
        even = frozenset(order.index(axis) for axis in even_axes(one))
        return [Fact(shape, one.knows, even=even)]
    place = step.place(one)
    return [with_rows(shape, RowAxis(order.index(place.axis), place.run), one.zero)]


def kept_axis(step: Step, one: Fact, shape: Shape, zero: bool) -> Fact:
    """Return a tensor of which only axes without rows changed their length.

    Raises:
        NotShownError: The axis of the batch changed too.
    """
    if not one.rows:
        same = {axis for axis in even_axes(one) if shape[axis] == one.shape[axis]}
        return Fact(shape, one.knows, even=frozenset(same))
    place = step.place(one)
    if shape[place.axis] != one.shape[place.axis]:
        raise NotShownError("takes rows out of a batch or adds to it")
    return with_rows(shape, place, zero)


def cut(step: Step) -> list[Fact]:
    """SLICE: a block of entries."""
    one, begin, size = step.input(0), step.numbers(1), step.numbers(2)
    if not len(begin) == len(size) == len(one.shape):
        raise NotShownError(f"cuts {size} at {begin} of {one.shape}")
    shape = []
    for first, count, axis in zip(begin, size, one.shape, strict=True):
        wide = axis - first if count == -1 else count
        if first < 0 or wide < 1 or first + wide > axis:
            raise NotShownError(f"cuts {size} at {begin} of {one.shape}")
        shape.append(wide)
    return [kept_axis(step, one, tuple(shape), one.zero)]


def strided(step: Step) -> list[Fact]:
    """STRIDED_SLICE: every so many entries of each axis, or one entry of it."""
    one = step.input(0)
    begin, end, by = (step.numbers(number) for number in (1, 2, 3))
    if not len(begin) == len(end) == len(by) == len(one.shape):
        raise NotShownError("cuts fewer axes than there are")
    if step.option(2) or step.option(3) or step.option(5, "B"):
        raise NotShownError("adds axes while it cuts")
    shape, dropped = [], step.option(4)
    for axis, length in enumerate(one.shape):
        first = 0 if step.option(0) >> axis & 1 else _within(begin[axis], length)
        last = length if step.option(1) >> axis & 1 else _within(end[axis], length)
        if dropped >> axis & 1:
            first, last = _within(begin[axis], length), _within(begin[axis], length) + 1
        if by[axis] < 1 or not first < last <= length:
            raise NotShownError("cuts backwards or beyond")
        shape.append(-(-(last - first) // by[axis]))
    kept = kept_axis(step, one, tuple(shape), one.zero)
    left = [length for axis, length in enumerate(shape) if not dropped >> axis & 1]
    return [reshape_fact(kept, tuple(left))]


def _within(place: int, length: int) -> int:
    return min(max(place + length if place < 0 else place, 0), length)


def pad(step: Step) -> list[Fact]:
    """PAD with zeros, PADV2 with a constant."""
    one, wide = step.input(0), step.numbers(1)
    if len(wide) != 2 * len(one.shape) or min(wide, default=0) < 0:
        raise NotShownError(f"pads {one.shape} by {wide}")
    shape = tuple(
        axis + wide[2 * number] + wide[2 * number + 1] for number, axis in enumerate(one.shape)
    )
    filler = step.optional(2)
    if filler is not None and (filler.value is None or filler.value.size != 1):
        raise NotShownError("pads with what is no constant")
    return [kept_axis(step, one, shape, one.zero and (filler is None or filler.zero))]


def reverse(step: Step) -> list[Fact]:
    """REVERSE_V2, of axes without rows."""
    one = step.input(0)
    axes = {_axis(axis, len(one.shape)) for axis in step.numbers(1)}
    if one.rows and step.place(one).axis in axes:
        raise NotShownError("turns the batch around")
    return [Fact(one.shape, one.knows, one.stride, one.zero)]


def join(step: Step) -> list[Fact]:
    """CONCATENATION: along an axis without rows, or of whole batches one after the other."""
    facts = [step.input(number) for number in range(len(step.given))]
    first = facts[0].shape
    axis = _axis(step.option(0), len(first))
    others = {(*fact.shape[:axis], *fact.shape[axis + 1 :]) for fact in facts}
    if step.option(1, "b") or len(others) != 1 or any(len(f.shape) != len(first) for f in facts):
        raise NotShownError(f"joins {[fact.shape for fact in facts]}")
    shape = (*first[:axis], sum(fact.shape[axis] for fact in facts), *first[axis + 1 :])
    rows = [fact for fact in facts if fact.rows]
    if not rows:
        same = frozenset.intersection(*map(even_axes, facts)) - {axis}
        parts = [one.value for one in facts if one.value is not None and is_index(one, shape)]
        made = Fact(shape, join_facts(facts), even=same)
        whole = len(parts) == len(facts)
        return [replace(made, value=np.concatenate(parts, axis)) if whole else made]
    place = step.place(rows[0])
    if any(step.place(fact) != place for fact in rows):
        raise NotShownError("joins rows of different places")
    if place.axis == axis and any(fact.shape[axis] % (place.run * step.batch) for fact in facts):
        raise NotShownError("joins parts of batches")
    if not all(fact.rows or is_even(fact, place, step.batch) for fact in facts):
        raise NotShownError("joins rows with what differs from row to row")
    return [with_rows(shape, place, all(fact.zero for fact in facts))]


def gather(step: Step) -> list[Fact]:
    """GATHER_ND, by constant places in the first axes, none of which has rows: upsampling."""
    one, places = step.input(0), step.input(1)
    value, axes = places.value, places.shape[-1] if places.shape else 0
    if value is None or value.dtype.kind != "i" or one.knows is Knows.RANGES:
        raise NotShownError("gathers by what is no constant")
    if not 0 < axes <= len(one.shape):
        raise NotShownError(f"gathers by {axes} axes of {one.shape}")
    if np.any(value < 0) or np.any(value >= np.array(one.shape[:axes])):
        raise NotShownError("reads beyond its tensor")
    shape = (*places.shape[:-1], *one.shape[axes:])
    if not one.rows:
        return [Fact(shape, one.knows)]
    place = step.place(one)
    if place.axis < axes:
        raise NotShownError("picks rows out of a batch by their numbers")
    moved = RowAxis(place.axis - axes + len(places.shape) - 1, place.run)
    return [with_rows(shape, moved, one.zero)]


def _axis(axis: int, axes: int) -> int:
    if not -axes <= axis < axes:
        raise NotShownError(f"names axis {axis} of {axes}")
    return axis % axes
