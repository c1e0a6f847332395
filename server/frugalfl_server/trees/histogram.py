"""Histogram aggregation: one tree for all, from sums of the clients' gradients.

Clients answer with whole numbers, whose sums do not depend on the order; so the trees are those of
all rows in one place (`docs/trees.md`). A round of Flower's is one question: a tree takes several.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from frugalfl import wire
from frugalfl.errors import FrameError
from frugalfl.trees.forest import Forest
from frugalfl.trees.grow import Grower
from frugalfl.trees.histogram import Grid, Sums
from frugalfl.trees.messages import Reply, total_sums
from frugalfl.trees.ways import Way
from frugalfl_server.trees.grown import Grown
from frugalfl_server.trees.strategy import TreeStrategy

#: Clients hold bins and base as a segment; finished trees come with the questions.
_VERSION = 1


class Histogram(TreeStrategy):
    """Asks the same clients for all histograms of a tree; who fails is left out of the next try."""

    def __init__(
        self, grown: Grown, way: Way, run: str, on_failure: Callable[[str], None] = lambda _: None,
        seed: int = 0,
    ) -> None:  # fmt: skip
        """Begin.

        Args:
            grown: The model, to which this adds.
            way: How trees grow, and how many.
            run: Name of the run.
            on_failure: Told one line about every client that contributed nothing.
            seed: Of the rounding of gradients.
        """
        super().__init__(grown, way, run, on_failure)
        self._grid = Grid(grown.bins.counts, seed=seed)
        self._grower = Grower(self._grid, way.growth, way.trees, grown.forest)
        self._cohort: tuple[int, ...] = ()
        self._out: set[int] = set()
        self._given: dict[int, Sums] = {}
        self._lacking: set[int] = set()

    @property
    def version(self) -> int:
        """The version that clients are brought to by segments: bins and base."""
        return _VERSION

    def most_exchanges(self, steps: int) -> int:
        """Return how often clients are asked at most: once for each split of each tree, twice."""
        return 2 * steps * self._way.growth.leaves

    def whom(self, server_round: int, nodes: Sequence[int]) -> Sequence[int]:
        """Ask those that the tree was begun with; where one of them is gone, begin it anew."""
        begun = bool(self._grower.splits)
        if begun and not set(self._cohort) <= set(nodes):
            self._grower.restart()
            begun = False
        if not begun:
            sound = [node for node in nodes if node not in self._out]
            self._cohort = tuple(sound or nodes)
        self._given = {}
        return self._cohort

    def question(self, node: int) -> bytes:
        """Return which nodes are wanted, with all trees for a client that lacks some."""
        held = 0 if node in self._lacking else None
        return self._grower.request(held).to_bytes()

    def take_in(self, node: int, reply: wire.TrainReply) -> None:
        """Read a client's histograms.

        Raises:
            FrameError: They cannot be read, or are of no rows.
        """
        sums = Reply.from_bytes(reply.frame, len(self._grower.wanted), self._grid).sums
        self._lacking.discard(node)
        if sums is None:
            self._lacking.add(node)
        else:
            self._given[node] = sums

    def step(self) -> Forest | None:
        """Go on with the tree; return it once it is finished."""
        if self._lacking & set(self._cohort):
            return None  # they are asked again, with the trees that they lack
        silent = set(self._cohort) - set(self._given)
        if silent:
            # A sibling's histogram is a difference: the sums of a tree have to be of the same rows.
            self._out |= silent
            self._grower.restart()
            return None
        before = len(self._grower.forest)
        try:
            self._grower.take(total_sums([self._given[node] for node in self._cohort]))
        except FrameError as error:
            self._on_failure(f"round {self.traffic.round}: {error}; the tree is begun again")
            self._grower.restart()
            return None
        if len(self._grower.forest) == before:
            return None
        self._out = set()
        return Forest(0.0, self._grower.forest.trees[before:])
