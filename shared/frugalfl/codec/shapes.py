"""From one flat vector to the tensors of an update."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import prod

from frugalfl.blocks import Shape
from frugalfl.codec.links import Tensor


def entries(shapes: Sequence[Shape]) -> int:
    """Return the number of entries of all tensors together."""
    return sum(map(prod, shapes))


def split(flat: Tensor, shapes: Sequence[Shape]) -> list[Tensor]:
    """Cut a flat vector into tensors of the given shapes."""
    ends = accumulate(map(prod, shapes))
    return [
        flat[end - prod(shape) : end].reshape(shape)
        for shape, end in zip(shapes, ends, strict=True)
    ]
