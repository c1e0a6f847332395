"""Bagging whose leaves are fitted to everybody's rows: clients give shapes, sums give values.

Where branches hold different kinds of rows, the mean of their trees is wrong for each of them: a
tree's leaves say nothing about rows that its branch never saw. So a step asks twice: for new trees,
without values; then for the sums of gradients and hessians in all their leaves, of every client.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from frugalfl import wire
from frugalfl.trees.forest import Forest, Tree
from frugalfl.trees.frame import decode_forest, encode_forest
from frugalfl.trees.leaves import LEAF_BITS, LeafSums, refitted
from frugalfl.trees.ways import Way
from frugalfl_server.trees.believable import check_leaf_sums, check_no_values, check_shapes
from frugalfl_server.trees.grown import Grown
from frugalfl_server.trees.guard import Guard
from frugalfl_server.trees.peers import Vector, against, directions, length_of, too_long

#: A full Newton step is the mean of trees that each answer the whole loss; as their leaves are
#: coarse, somewhat more is right, and twice as much still converged in every division tried.
_STEP = 1.5


class Refit:
    """New shapes in one exchange, the values of their leaves in the next."""

    tries = 1

    def __init__(self, grown: Grown, way: Way, guard: Guard) -> None:
        """Begin.

        Args:
            grown: The model.
            way: What clients are to grow.
            guard: What is known of the clients.
        """
        self._grown = grown
        self._way = way
        self._guard = guard
        self._new: dict[int, tuple[Tree, ...]] = {}
        self._asked: tuple[Tree, ...] = ()
        self._question = b""
        self._sums: dict[int, LeafSums] = {}

    def whom(self, nodes: Sequence[int]) -> Sequence[int]:
        """Ask everybody."""
        self._new, self._sums = {}, {}
        return nodes

    @property
    def begins(self) -> bool:
        """Return whether new trees are asked for."""
        return not self._question

    def question(self, node: int) -> bytes:
        """Return the trees whose leaves are wanted; nothing where new trees are."""
        return self._question

    def take_in(self, node: int, reply: wire.TreesReply) -> None:
        """Read a client's new trees, or its sums.

        Raises:
            FrameError: They cannot be read.
        """
        if self._question:
            leaves = sum(tree.leaves for tree in self._asked)
            sums = LeafSums.from_bytes(reply.frame, leaves, reply.samples)
            rows = self._guard.claim_of(node, reply.samples, self._grown.chance)
            check_leaf_sums(self._asked, sums, rows)
            self._sums[node] = sums
        else:
            forest = decode_forest(reply.frame, len(self._grown.bins), self._way.trees)
            check_shapes(forest, self._grown.bins, self._way.growth)
            check_no_values(forest)
            self._new[node] = forest.trees

    def outliers(self) -> dict[int, str]:
        """Compare the sums that the clients have in all leaves."""
        if not (self._question and self._guard.compares):
            return {}
        reals = {node: _reals(sums) for node, sums in self._sums.items()}
        rows = self._guard.counted(reals)
        long = too_long({node: length_of(*both, rows[node]) for node, both in reals.items()})
        return long | (against(directions(reals)) if self._grown.version == 1 else {})

    def drop(self, node: int) -> None:
        """Forget a client's sums."""
        del self._sums[node]

    def step(self) -> Forest | None:
        """Return the trees with their values, after the second exchange."""
        if not self._question:
            new = tuple(tree for trees in self._new.values() for tree in trees)
            self._question = encode_forest(Forest(0.0, new))
            self._asked = decode_forest(self._question, len(self._grown.bins)).trees
            return None
        shares = self._guard.shares(self._sums)
        total, *others = [_weighed(sums, shares[node]) for node, sums in self._sums.items()]
        for sums in others:
            total += sums
        self._question = b""
        return refitted(self._asked, total, self._way.growth, _STEP)

    def state(self) -> dict[str, Any]:
        """Return what is kept between steps: nothing."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with what :meth:`state` returned."""


def _reals(sums: LeafSums) -> tuple[Vector, Vector]:
    gradients, hessians = (
        np.ldexp(part.astype(float), -LEAF_BITS) for part in (sums.gradients, sums.hessians)
    )
    return gradients, hessians


def _weighed(sums: LeafSums, share: float) -> LeafSums:
    if share == 1:
        return sums
    gradients, hessians = (
        np.rint(part * share).astype(np.int64) for part in (sums.gradients, sums.hessians)
    )
    return LeafSums(gradients, hessians)
