"""Bagging: every client boosts some trees of its own, and all of them together are one step.

Each client's trees are trained from the global model's scores and answer the whole of its loss; so
their leaves are multiplied by the client's share of the rows, which makes the step the mean of
theirs. (Flower's FedXgbBagging concatenates trees without a weight.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from frugalfl import wire
from frugalfl.trees.forest import Forest, total
from frugalfl.trees.frame import decode_forest
from frugalfl.trees.ways import Way
from frugalfl_server.trees.grown import Grown
from frugalfl_server.trees.strategy import TreeStrategy


class Bagging(TreeStrategy):
    """The mean, by rows, of what the clients grew."""

    def __init__(
        self, grown: Grown, way: Way, run: str, on_failure: Callable[[str], None] = lambda _: None
    ) -> None:
        super().__init__(grown, way, run, on_failure)
        self._given: list[tuple[Forest, int]] = []

    def whom(self, server_round: int, nodes: Sequence[int]) -> Sequence[int]:
        """Ask everybody."""
        self._given = []
        return nodes

    def take_in(self, node: int, reply: wire.TrainReply) -> None:
        """Read the client's new trees.

        Raises:
            FrameError: They cannot be read.
        """
        forest = decode_forest(reply.frame, len(self._grown.bins), self._way.trees)
        self._given.append((forest, reply.samples))

    def step(self) -> Forest:
        """Return all new trees, each weighed by its client's share of the rows."""
        rows = sum(count for _, count in self._given)
        forests = [forest for forest, _ in self._given]
        return total(forests, [count / rows for _, count in self._given])


class Cyclic(Bagging):
    """Clients take turns: one a round, and its trees count in full."""

    def whom(self, server_round: int, nodes: Sequence[int]) -> Sequence[int]:
        """Ask the client whose turn it is."""
        self._given = []
        return [nodes[(server_round - 1) % len(nodes)]]
