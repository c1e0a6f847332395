"""Bagging whose leaves are fitted to everybody's rows: clients give shapes, sums give values.

Where branches hold different kinds of rows, the mean of their trees is wrong for each of them: a
tree's leaves say nothing about rows that its branch never saw. So a step asks twice: for new trees,
without values; then for the sums of gradients and hessians in all their leaves, of every client.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from frugalfl import wire
from frugalfl.trees.forest import Forest, Tree
from frugalfl.trees.frame import decode_forest, encode_forest
from frugalfl.trees.leaves import LeafSums, refitted
from frugalfl.trees.ways import Way
from frugalfl_server.trees.grown import Grown
from frugalfl_server.trees.strategy import TreeStrategy

#: A full Newton step is the mean of trees that each answer the whole loss; as their leaves are
#: coarse, somewhat more is right, and twice as much still converged in every division tried.
_STEP = 1.5


class Refit(TreeStrategy):
    """New shapes in one exchange, the values of their leaves in the next."""

    def __init__(
        self, grown: Grown, way: Way, run: str, on_failure: Callable[[str], None] = lambda _: None
    ) -> None:
        super().__init__(grown, way, run, on_failure)
        self._new: list[Tree] = []
        self._asked: tuple[Tree, ...] = ()
        self._question = b""
        self._sums: list[LeafSums] = []

    def most_exchanges(self, steps: int) -> int:
        """Return how often clients are asked: twice a step."""
        return 2 * steps

    def whom(self, server_round: int, nodes: Sequence[int]) -> Sequence[int]:
        """Ask everybody."""
        self._new, self._sums = [], []
        return nodes

    def question(self, node: int) -> bytes:
        """Return the trees whose leaves are wanted; nothing where new trees are."""
        return self._question

    def take_in(self, node: int, reply: wire.TrainReply) -> None:
        """Read a client's new trees, or its sums.

        Raises:
            FrameError: They cannot be read.
        """
        if self._question:
            leaves = sum(tree.leaves for tree in self._asked)
            self._sums.append(LeafSums.from_bytes(reply.frame, leaves, reply.samples))
        else:
            forest = decode_forest(reply.frame, len(self._grown.bins), self._way.trees)
            self._new += forest.trees

    def step(self) -> Forest | None:
        """Return the trees with their values, after the second exchange."""
        if not self._question:
            self._question = encode_forest(Forest(0.0, tuple(self._new)))
            self._asked = decode_forest(self._question, len(self._grown.bins)).trees
            return None
        total = self._sums[0]
        for sums in self._sums[1:]:
            total += sums
        self._question = b""
        return refitted(self._asked, total, self._way.growth, _STEP)
