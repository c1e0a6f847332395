"""Rules of operators that multiply and sum: dense layers, matrix products, convolutions, pooling.

A row may meet weights, which are the same for every row. Rows may meet rows where the product is
taken within each row, or where it is summed over the whole batch: that is a gradient. Rows that
meet a matrix along the batch would be picked by it, and rows that meet each other's rows compared.
"""

from __future__ import annotations

from math import prod

import numpy as np

from frugalfl.flow.elementwise import check_activation, combine_facts
from frugalfl.flow.graph import Shape
from frugalfl.flow.reductions import sum_batch
from frugalfl.flow.tensor_facts import (
    Fact,
    Knows,
    NotShownError,
    RowAxis,
    Rule,
    Step,
    even_axes,
    is_even,
    join_facts,
    reshape_fact,
    with_rows,
)  # fmt: skip

_SAME = 0
_IMAGE = 4


def matrices(step: Step) -> list[Fact]:
    """BATCH_MATMUL."""
    first, second = step.input(0), step.input(1)
    return [_product(step, first, second, bool(step.option(0, "B")), bool(step.option(1, "B")))]


def dense(step: Step) -> list[Fact]:
    """FULLY_CONNECTED: every run of inputs, times the transposed weights, plus a bias."""
    one, weights = step.input(0), step.input(1)
    check_activation(step, 0)
    if step.option(1, "b") or len(weights.shape) != 2 or not one.shape:
        raise NotShownError("has weights in a form that is not known")
    wide, long = weights.shape
    if (one.shape[-1] != long and step.option(2, "B")) or prod(one.shape) % long:
        raise NotShownError(f"multiplies {one.shape} by {weights.shape}")
    flat = reshape_fact(one, (prod(one.shape) // long, long))
    made = _with_bias(step, _product(step, flat, weights, adjoint_second=True))
    return [reshape_fact(made, (*one.shape[:-1], wide)) if step.option(2, "B") else made]


def _product(
    step: Step, first: Fact, second: Fact, adjoint_first: bool = False, adjoint_second: bool = False
) -> Fact:
    """Return a product of matrices, over the axes in front that they share."""
    _refuse_ranges(first, second)
    if min(len(first.shape), len(second.shape)) < 2:
        raise NotShownError(f"multiplies {first.shape} by {second.shape}")
    rows, summed_over = _sides(first, adjoint_first)
    also, columns = _sides(second, adjoint_second)
    if first.shape[summed_over] != second.shape[also]:
        raise NotShownError(f"multiplies {first.shape} by {second.shape}")
    try:
        front = tuple(np.broadcast_shapes(first.shape[:-2], second.shape[:-2]))
    except ValueError as error:
        raise NotShownError(f"multiplies {first.shape} by {second.shape}") from error
    shape = (*front, first.shape[rows], second.shape[columns])
    if not first.rows and not second.rows:
        sides = (rows in even_axes(first), columns in even_axes(second))
        even = {len(front) + number for number, same in enumerate(sides) if same}
        return Fact(shape, join_facts([first, second]), even=frozenset(even))
    left, right = _lies(step, first, rows), _lies(step, second, columns)
    if first.rows and second.rows:
        return _of_rows(step, shape, (first, *left), (second, *right))
    own, run = left if first.rows else right
    made = len(shape) - 2 if first.rows else len(shape) - 1
    if own == "sum":
        other, along = (second, also) if first.rows else (first, summed_over)
        if not is_even(other, RowAxis(along, run), step.batch):
            raise NotShownError("picks rows out of a batch by a matrix")
        return sum_batch(step, shape, first.zero or second.zero)
    if own == "side":
        return with_rows(shape, RowAxis(made, run), first.zero or second.zero)
    other = second if first.rows else first
    _check_front(step, other, own, run)
    return with_rows(shape, RowAxis(len(shape) - int(own), run), first.zero or second.zero)


def _sides(fact: Fact, adjoint: bool) -> tuple[int, int]:
    rank = len(fact.shape)
    return (rank - 1, rank - 2) if adjoint else (rank - 2, rank - 1)


def _lies(step: Step, fact: Fact, side: int) -> tuple[str, int]:
    """Say where rows are: on the ``side`` that stays, along the ``sum``, or so far from the end."""
    if not fact.rows:
        return "", 0
    place, rank = step.place(fact), len(fact.shape)
    if place.axis < rank - 2:
        return str(rank - place.axis), place.run
    return ("side" if place.axis == side else "sum"), place.run


def _of_rows(
    step: Step, shape: Shape, first: tuple[Fact, str, int], second: tuple[Fact, str, int]
) -> Fact:
    """Return the product of rows with rows: summed over the batch, or within each row."""
    zero = first[0].zero or second[0].zero
    if first[1:] != second[1:] or first[1] == "side":
        raise NotShownError("multiplies rows with other rows")
    if first[1] == "sum":
        return sum_batch(step, shape, zero)
    distance = int(first[1])
    if first[0].shape[-distance] != second[0].shape[-distance]:
        raise NotShownError("multiplies rows with other rows")
    return with_rows(shape, RowAxis(len(shape) - distance, first[2]), zero)


def _check_front(step: Step, other: Fact, distance: str, run: int) -> None:
    if not is_even(other, RowAxis(len(other.shape) - int(distance), run), step.batch):
        raise NotShownError("multiplies rows by what differs from row to row")


def convolution(step: Step) -> list[Fact]:
    """CONV_2D: images of rows with weights; or, as a gradient, rows as channels of both."""
    image, weights = step.input(0), step.input(1)
    _check_images(image, weights)
    check_activation(step, 3)
    channels, per_group = image.shape[3], weights.shape[3]
    if channels % per_group or weights.shape[0] % (channels // per_group):
        raise NotShownError(f"convolves {image.shape} with {weights.shape}")
    shape = (*_slid(step, image.shape, weights.shape[1:3], (4, 5)), weights.shape[0])
    if not image.rows and not weights.rows:
        made = Fact(shape, join_facts([image, weights]))
    elif not weights.rows and step.place(image).axis == 0:
        made = with_rows(shape, step.place(image), image.zero)
    else:
        both = image.rows and weights.rows and channels == per_group
        if not both or step.place(image) != step.place(weights) or step.place(image).axis != 3:
            raise NotShownError("convolves across the rows of a batch")
        made = sum_batch(step, shape, image.zero or weights.zero)
    return [_with_bias(step, made)]


def depthwise(step: Step) -> list[Fact]:
    """DEPTHWISE_CONV_2D: each channel by itself; as a gradient, each row's apart."""
    image, weights = step.input(0), step.input(1)
    _check_images(image, weights)
    check_activation(step, 4)
    channels, wide = image.shape[3], weights.shape[3]
    if weights.shape[0] != 1 or wide % channels:
        raise NotShownError(f"convolves {image.shape} with {weights.shape}")
    shape = (*_slid(step, image.shape, weights.shape[1:3], (5, 6)), wide)
    if not image.rows and not weights.rows:
        return [_with_bias(step, Fact(shape, join_facts([image, weights])))]
    zero = image.zero or weights.zero
    if image.rows and step.place(image).axis == 0 and not weights.rows:
        return [_with_bias(step, with_rows(shape, step.place(image), zero))]
    if not image.rows or step.place(image).axis != 3:
        raise NotShownError("convolves across the rows of a batch")
    place = RowAxis(3, step.place(image).run * (wide // channels))
    if not (step.place(weights) == place if weights.rows else is_even(weights, place, step.batch)):
        raise NotShownError("convolves rows with what differs from row to row")
    return [_with_bias(step, with_rows(shape, place, zero))]


def transposed_convolution(step: Step) -> list[Fact]:
    """TRANSPOSE_CONV, to a constant shape."""
    shape, weights, image = tuple(step.numbers(0)), step.input(1), step.input(2)
    _check_images(image, weights)
    check_activation(step, 3)
    fits = len(shape) == _IMAGE and shape[0] == image.shape[0] and shape[3] == weights.shape[0]
    if not fits or weights.rows or image.shape[3] != weights.shape[3]:
        raise NotShownError(f"convolves {image.shape} with {weights.shape}")
    made = Fact(shape, join_facts([image, weights]))
    if image.rows:
        if step.place(image).axis != 0:
            raise NotShownError("convolves across the rows of a batch")
        made = with_rows(shape, step.place(image), image.zero)
    return [_with_bias(step, made, 3)]


def pooling(step: Step) -> list[Fact]:
    """AVERAGE_POOL_2D and MAX_POOL_2D: over the two axes in the middle."""
    image = step.input(0)
    _check_images(image, image)
    check_activation(step, 5)
    window = (step.option(4), step.option(3))
    shape = (*_slid(step, image.shape, window), image.shape[3])
    if not image.rows:
        return [Fact(shape, image.knows)]
    if step.place(image).axis not in (0, 3):
        raise NotShownError("pools rows of a batch together")
    return [with_rows(shape, step.place(image), image.zero)]


def _slid(
    step: Step, image: Shape, window: Shape, dilation: tuple[int, int] | None = None
) -> tuple[int, int, int]:
    """Return images, height and width of what a sliding window makes; dilation: width, height."""
    by = (step.option(2), step.option(1))
    apart = tuple(step.option(f, default=1) for f in reversed(dilation)) if dilation else (1, 1)
    sizes = []
    for length, wide, stride, gap in zip(image[1:3], window, by, apart, strict=True):
        if min(wide, stride, gap) < 1:
            raise NotShownError("slides a window that is none")
        room = length if step.option(0, "b") == _SAME else length - (wide - 1) * gap
        if room < 1:
            raise NotShownError("slides a window larger than the image")
        sizes.append(-(-room // stride))
    return image[0], sizes[0], sizes[1]


def _with_bias(step: Step, made: Fact, number: int = 2) -> Fact:
    bias = step.optional(number)
    if bias is None:
        return made
    if len(bias.shape) != 1 or bias.shape[0] not in (1, made.shape[-1]) or bias.rows:
        raise NotShownError(f"adds {bias.shape} to {made.shape}")
    return combine_facts(step, [made, bias], made.zero and bias.zero)


def _check_images(image: Fact, weights: Fact) -> None:
    _refuse_ranges(image, weights)
    if len(image.shape) != _IMAGE or len(weights.shape) != _IMAGE:
        raise NotShownError(f"convolves {image.shape} with {weights.shape}")


def _refuse_ranges(*facts: Fact) -> None:
    if any(fact.knows is Knows.RANGES for fact in facts):
        raise NotShownError("computes with the ranges of tensors")


#: By the schema's name.
PRODUCTS: dict[str, Rule] = {
    "AVERAGE_POOL_2D": pooling, "BATCH_MATMUL": matrices, "CONV_2D": convolution,
    "DEPTHWISE_CONV_2D": depthwise, "FULLY_CONNECTED": dense, "MAX_POOL_2D": pooling,
    "TRANSPOSE_CONV": transposed_convolution,
}  # fmt: skip
