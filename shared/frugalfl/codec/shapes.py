"""From one flat vector to the tensors of an update."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from frugalfl.blocks import Shape
from frugalfl.codec.links import Tensor


def entries(shapes: Sequence[Shape]) -> int:
    """Return the number of entries of all tensors together."""
    return sum(map(prod, shapes))


def split(flat: Tensor, shapes: Sequence[Shape]) -> list[Tensor]:
    """Cut a flat vector into tensors of the given shapes."""
    if not shapes:
        return []
    ends = np.cumsum([prod(shape) for shape in shapes])[:-1]
    return [part.reshape(shape) for part, shape in zip(np.split(flat, ends), shapes, strict=True)]
