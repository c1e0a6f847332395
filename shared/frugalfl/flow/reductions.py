"""Rules of operators that make one entry of many: sums, means, extremes, the place of the largest.

Over the batch there are sums and means only, in the signatures that give sums; in `calibrate`,
which gives ranges, only the extremes of a whole tensor.
"""

from __future__ import annotations

from frugalfl.flow.graph import Shape
from frugalfl.flow.tensor_facts import Fact, Knows, NotShownError, RowAxis, Rule, Step, with_rows

#: Signatures whose outputs may hold sums over the batch.
SUMMING = ("train", "evaluate")


def sum_batch(step: Step, shape: Shape, zero: bool) -> Fact:
    """Return a sum over the batch.

    Args:
        step: What sums.
        shape: Of the sum.
        zero: Whether rows of weight 0, the padding of a short batch, add nothing to it.

    Raises:
        NotShownError: No sum is expected here, or padding is in it.
    """
    if step.signature not in SUMMING:
        raise NotShownError(f"sums over the batch, which {step.signature!r} gives no sums of")
    if not zero:
        raise NotShownError("sums over the batch without the rows' weights w")
    return Fact(shape, Knows.SUMS)


def reduction(name: str) -> Rule:
    """Return the rule of SUM, MEAN, REDUCE_MAX or REDUCE_MIN."""

    def rule(step: Step) -> list[Fact]:
        one = step.input(0)
        if one.knows is Knows.RANGES:
            raise NotShownError("computes with the ranges of tensors")
        axes = _axes(step, len(one.shape))
        shape = _reduce_shape(one.shape, axes, bool(step.option(0, "B")))
        if not one.rows:
            return [Fact(shape, one.knows)]
        place = step.place(one)
        if place.axis not in axes:
            kept = place.axis if step.option(0, "B") else place.axis - sum(
                axis < place.axis for axis in axes
            )  # fmt: skip
            return [with_rows(shape, RowAxis(kept, place.run), one.zero)]
        if name in ("SUM", "MEAN"):
            return [sum_batch(step, shape, one.zero)]
        if step.signature == "calibrate" and len(axes) == len(one.shape):
            return [Fact(shape, Knows.RANGES)]
        raise NotShownError("chooses one row of a batch")

    return rule


def place_of_largest(step: Step) -> list[Fact]:
    """ARG_MAX, along an axis without rows."""
    one = step.input(0)
    axes = _axes(step, len(one.shape))
    if len(axes) != 1 or one.knows is Knows.RANGES:
        raise NotShownError("compares what it should not")
    shape = _reduce_shape(one.shape, axes, keep=False)
    if not one.rows:
        return [Fact(shape, one.knows)]
    place = step.place(one)
    if place.axis in axes:
        raise NotShownError("chooses one row of a batch")
    return [
        with_rows(shape, RowAxis(place.axis - sum(a < place.axis for a in axes), place.run), False)
    ]


def _axes(step: Step, rank: int) -> set[int]:
    axes = step.numbers(1)
    if any(not -rank <= axis < rank for axis in axes):
        raise NotShownError(f"names axes {axes} of {rank}")
    return {axis % rank for axis in axes}


def _reduce_shape(shape: Shape, axes: set[int], keep: bool) -> Shape:
    left = [1 if axis in axes else length for axis, length in enumerate(shape)]
    return tuple(left if keep else [n for axis, n in enumerate(left) if axis not in axes])
