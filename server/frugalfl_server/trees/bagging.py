"""Bagging: every client boosts some trees of its own, and all of them together are one step.

Each client's trees are trained from the global model's scores and answer the whole of its loss; so
their leaves are multiplied by the client's share of the rows, which makes the step the mean of
theirs. (Flower's FedXgbBagging concatenates trees without a weight.)
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median_low
from typing import Any

import numpy as np

from frugalfl import wire
from frugalfl.trees.forest import Forest, total
from frugalfl.trees.frame import decode_forest
from frugalfl.trees.ways import Way
from frugalfl_server.trees.believable import check_shapes, check_values
from frugalfl_server.trees.grown import Grown
from frugalfl_server.trees.guard import Guard
from frugalfl_server.trees.peers import Vector, against, probes, too_long


class Bagging:
    """The mean, by rows, of what the clients grew."""

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
        self._given: dict[int, Forest] = {}
        self._probes = probes(grown.bins.counts)

    @property
    def begins(self) -> bool:
        """Whether the next exchange is the first one of a step: each is."""
        return True

    def whom(self, nodes: Sequence[int]) -> Sequence[int]:
        """Ask everybody."""
        self._given = {}
        return nodes

    def question(self, node: int) -> bytes:
        """Ask for new trees, without more words."""
        return b""

    def take_in(self, node: int, reply: wire.TreesReply) -> None:
        """Read the client's new trees.

        Raises:
            FrameError: They cannot be read, or are larger than any that were asked for.
        """
        forest = decode_forest(reply.frame, len(self._grown.bins), self._way.trees)
        check_shapes(forest, self._grown.bins, self._way.growth)
        check_values(forest, self._way.growth)
        self._given[node] = forest

    def outliers(self) -> dict[int, str]:
        """Compare what the clients' trees say of made-up rows, all bins alike.

        The trees' own rows never come here; over all bins, no split goes unseen.
        """
        if not self._guard.compares:
            return {}
        scores = {node: forest.raw_scores(self._probes) for node, forest in self._given.items()}
        first = self._grown.version == 1
        return too_long({n: _rms(one) for n, one in scores.items()}) | (
            against(scores) if first else {}
        )

    def drop(self, node: int) -> None:
        """Forget a client's trees."""
        del self._given[node]

    def step(self) -> Forest:
        """Return all new trees, each weighed by its client's share of the rows."""
        counted = self._guard.counted(self._given)
        usual = median_low(counted.values())
        for node, forest in self._given.items():
            if not forest.trees:  # who has nothing to say does not hold the others back
                counted[node] = min(counted[node], usual)
        rows = sum(counted.values())
        return total(list(self._given.values()), [counted[node] / rows for node in self._given])

    def state(self) -> dict[str, Any]:
        """Return what is kept between steps: nothing."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with what :meth:`state` returned."""


def _rms(scores: Vector) -> float:
    return float(np.sqrt(np.mean(scores**2)))


class Cyclic(Bagging):
    """Clients take turns: one a round, and its trees count in full; who fails loses its turn."""

    def __init__(self, grown: Grown, way: Way, guard: Guard) -> None:
        """Begin; the arguments are those of :class:`Bagging`."""
        super().__init__(grown, way, guard)
        self._turn = 0

    def whom(self, nodes: Sequence[int]) -> Sequence[int]:
        """Ask the client whose turn it is."""
        self._given, self.tries = {}, len(nodes)
        node = nodes[self._turn % len(nodes)]
        self._turn += 1
        return [node]

    def state(self) -> dict[str, Any]:
        """Return whose turn it is."""
        return {"turn": self._turn}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with what :meth:`state` returned."""
        self._turn = state["turn"]
