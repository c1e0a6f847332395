"""Sums of gradients and hessians in the leaves of given trees: what their values come from.

Clients that hold different kinds of rows grow trees whose leaves are wrong for the others' rows. So
the values can be made anew from the sums over all clients, a Newton step in each leaf. Sums are
whole numbers, multiples of 2**-6, and can be added in any order and under secure sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from frugalfl.errors import FrameError
from frugalfl.trees.forest import Float64s, Forest, Tree, UInt8s
from frugalfl.trees.histogram import MAX_ROWS, Int64s
from frugalfl.trees.integers import packed_integers, unpacked_integers
from frugalfl.trees.params import Growth
from frugalfl.trees.scoring import leaves_of
from frugalfl.trees.sealed import opened, sealed

_SUMS = b"fL\x01"
#: Bits behind the point of a leaf's sums.
LEAF_BITS = 6


@dataclass(frozen=True, eq=False)
class LeafSums:
    """Sums in the leaves of some trees, one tree after the other, in 2**-6.

    Attributes:
        gradients: Of the logistic loss, int64 (leaves,).
        hessians: int64 (leaves,).
    """

    gradients: Int64s
    hessians: Int64s

    def __add__(self, other: LeafSums) -> LeafSums:
        """Return the sums over both."""
        return LeafSums(self.gradients + other.gradients, self.hessians + other.hessians)

    def to_bytes(self) -> bytes:
        """Return the sums as bytes."""
        return sealed(_SUMS + packed_integers(self.gradients) + packed_integers(self.hessians))

    @classmethod
    def from_bytes(cls, data: bytes, leaves: int, rows: int) -> LeafSums:
        """Read what :meth:`to_bytes` wrote.

        Args:
            data: What a client sent.
            leaves: Of all trees together.
            rows: How many the client claims to have.

        Raises:
            FrameError: Anything about the bytes is not as it should be, or no rows give such sums.
        """
        reader = opened(data, _SUMS)
        gradients = unpacked_integers(reader, leaves)
        hessians = unpacked_integers(reader, leaves)
        if not reader.finished:
            raise FrameError("the sums of leaves have bytes after their end")
        most = min(rows, MAX_ROWS) << LEAF_BITS
        if (np.abs(gradients) > most).any() or (hessians < 0).any() or (hessians > most).any():
            raise FrameError("the sums of leaves are not those of as many rows")
        return cls(gradients, hessians)


def leaf_sums(
    trees: Sequence[Tree], binned: UInt8s, y: npt.NDArray[np.integer], scores: Float64s
) -> LeafSums:
    """Return a client's sums in the leaves of all trees.

    Args:
        trees: Their shapes; values do not matter.
        binned: uint8 (n, f).
        y: 0 or 1 (n,).
        scores: float64 (n,), raw scores of the model so far (log odds).
    """
    chance = 1 / (1 + np.exp(-scores))
    gradients: list[Float64s] = []
    hessians: list[Float64s] = []
    for tree, leaf in zip(trees, leaves_of(trees, binned), strict=True):
        gradients.append(np.bincount(leaf, chance - y, tree.leaves).astype(np.float64))
        hessians.append(np.bincount(leaf, chance * (1 - chance), tree.leaves).astype(np.float64))
    return LeafSums(_whole(gradients), _whole(hessians))


def _whole(parts: Sequence[Float64s]) -> Int64s:
    joined = np.concatenate([np.zeros(0), *parts])
    whole: Int64s = np.rint(np.ldexp(joined, LEAF_BITS)).astype(np.int64)
    return whole


def refitted(trees: Sequence[Tree], sums: LeafSums, growth: Growth, step: float) -> Forest:
    """Return the mean of the trees, each leaf with the Newton step of its sums, times ``step``."""
    values = -sums.gradients / (sums.hessians + np.ldexp(growth.l2 + 1e-9, LEAF_BITS))
    values = np.clip(values, -growth.max_step, growth.max_step) * step / max(len(trees), 1)
    made, start = [], 0
    for tree in trees:
        own = values[start : start + tree.leaves].astype(np.float32)
        start += tree.leaves
        made.append(Tree(tree.feature, tree.bin, tree.left, tree.right, own))
    return Forest(0.0, tuple(made))


def shapes(forest: Forest) -> Forest:
    """Return the trees without the values of their leaves."""
    return Forest(
        0.0,
        tuple(
            Tree(t.feature, t.bin, t.left, t.right, np.zeros(t.leaves, np.float32))
            for t in forest.trees
        ),
    )
