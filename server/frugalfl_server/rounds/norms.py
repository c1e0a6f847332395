"""How long an update is: the squared Euclidean norm of its blocks, without making it dense."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from frugalfl.blocks import FloatArray, Layout, is_statistic
from frugalfl.codec import Product


class BlockKind(NamedTuple):
    """What is compared with its like: the weights of a block, or its running statistics."""

    block: int
    statistics: bool


#: Squared norms by kind.
Norms = Mapping[BlockKind, float]


def kinds_of(layout: Layout, blocks: Sequence[int]) -> list[BlockKind]:
    """Return of what kind each tensor of these blocks is, in order."""
    return [
        BlockKind(block, is_statistic(name))
        for block in blocks
        for name in layout.blocks[block].tensors
    ]


def norms_of(parts: Iterable[tuple[BlockKind, FloatArray | Product]]) -> Norms:
    """Return the squared norm of each kind.

    Args:
        parts: Tensors, their nonzero entries, or their two factors, with their kinds.
    """
    norms: dict[BlockKind, float] = {}
    for kind, part in parts:
        norms[kind] = norms.get(kind, 0.0) + _squared(part)
    return norms


def _squared(part: FloatArray | Product) -> float:
    if isinstance(part, Product):  # the trace of (left' left) (right right'), both thin
        left, right = part.left.T @ part.left, part.right @ part.right.T
        return max(float(np.vdot(left, right)), 0.0)
    return float(np.vdot(part, part))
