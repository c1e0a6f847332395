"""Histogram aggregation: one tree for all, from sums of the clients' gradients.

Clients answer with whole numbers, whose sums do not depend on the order; so the trees are those of
all rows in one place (`docs/trees.md`). A round of Flower's is one question: a tree takes several.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from frugalfl import wire
from frugalfl.errors import FrameError
from frugalfl.trees.forest import Forest
from frugalfl.trees.grow import Grower
from frugalfl.trees.histogram import MAX_ROWS, Grid, Sums
from frugalfl.trees.messages import Reply, total_sums
from frugalfl.trees.ways import Way
from frugalfl_server.trees.branch import Branch, cells_of, weighed
from frugalfl_server.trees.grown import Grown
from frugalfl_server.trees.guard import Guard
from frugalfl_server.trees.peers import against, directions, length_of, too_long


class Histogram:
    """Asks the same clients for all histograms of a tree; who fails is left out of the next try."""

    tries = 1

    def __init__(self, grown: Grown, way: Way, guard: Guard, seed: int = 0) -> None:
        """Begin.

        Args:
            grown: The model.
            way: How trees grow, and how many.
            guard: What is known of the clients.
            seed: Of the rounding of gradients.
        """
        self._grown = grown
        self._way = way
        self._guard = guard
        self._grid = Grid(grown.bins.counts, seed=seed)
        self._grower = Grower(self._grid, way.growth, way.trees, grown.forest)
        self._cohort: tuple[int, ...] = ()
        self._out: set[int] = set()
        self._given: dict[int, Sums] = {}
        #: Clients that said while this tree grew that they lack some; and in this exchange.
        self._lacking: set[int] = set()
        self._lack_now: set[int] = set()
        #: What each client said of this tree, and which part of it counts.
        self._branches: dict[int, Branch] = {}
        self._shares: dict[int, float] = {}

    @property
    def begins(self) -> bool:
        """Return whether a tree is begun, or begun again."""
        return not self._grower.splits

    def whom(self, nodes: Sequence[int]) -> Sequence[int]:
        """Ask those that the tree was begun with; where one of them is gone, begin it anew."""
        begun = bool(self._grower.splits)
        if begun and not set(self._cohort) <= set(nodes):
            self._grower.restart()
            begun = False
        if not begun:
            sound = [node for node in nodes if node not in self._out]
            self._cohort = tuple(sound or nodes)
        self._given, self._lack_now = {}, set()
        return self._cohort

    def question(self, node: int) -> bytes:
        """Return which nodes are wanted, with all trees for a client that lacked some."""
        held = 0 if node in self._lacking else None
        return self._grower.request(held).to_bytes()

    def take_in(self, node: int, reply: wire.TreesReply) -> None:
        """Read a client's histograms.

        Raises:
            FrameError: They cannot be read, are of no rows, or contradict what it said before.
        """
        wanted = self._grower.wanted
        sums = Reply.from_bytes(reply.frame, len(wanted), self._grid).sums
        if sums is None:
            if node in self._lacking:
                raise FrameError("it was sent all trees, and says that it lacks some")
            self._lacking.add(node)
            self._lack_now.add(node)
            return
        branch = self._branches.setdefault(node, Branch(self._grid))
        rows = self._guard.claim_of(node, reply.samples, self._grown.chance)
        branch.take(self._grower.splits, wanted, sums, rows)
        self._given[node] = sums

    def outliers(self) -> dict[int, str]:
        """Compare all rows' histograms, when a tree begins."""
        if self._grower.splits:
            return {}
        if not self._guard.compares:
            return _too_many(self._given)
        cells = {node: cells_of(sums, self._grid) for node, sums in self._given.items()}
        rows = self._guard.counted(cells)
        long = too_long({node: length_of(*both, rows[node]) for node, both in cells.items()})
        first = not self._grower.forest.trees
        return long | (against(directions(cells)) if first else {}) | _too_many(self._given)

    def drop(self, node: int) -> None:
        """Forget a client's histograms."""
        del self._given[node]

    def step(self) -> Forest | None:
        """Go on with the tree; return it once it is finished."""
        lost = set(self._cohort) - set(self._given) - self._lack_now
        self._leave_out(lost)
        if lost and self._grower.splits:
            # A sibling's histogram is a difference: the sums of a tree have to be of the same rows.
            self._grower.restart()
            return None
        self._cohort = tuple(node for node in self._cohort if node not in lost)
        if self._lack_now:
            return None  # they are asked again, with the trees that they lack
        if not self._grower.splits:
            self._shares = self._guard.shares(self._given)
        before = len(self._grower.forest)
        self._grower.take(
            total_sums([weighed(self._given[node], self._shares[node]) for node in self._cohort])
        )
        if len(self._grower.forest) == before:
            return None
        self._end_tree()
        return Forest(0.0, self._grower.forest.trees[before:])

    def _end_tree(self) -> None:
        for node in self._lacking:
            self._guard.faulty.add(node)
            self._guard.silent(node)  # each time, everybody was asked once more
        self._out, self._lacking, self._branches = set(), set(), {}

    def _leave_out(self, lost: set[int]) -> None:
        """Do without clients for the rest of the tree, and longer if that happens again."""
        self._out |= lost
        for node in lost:
            self._branches.pop(node, None)
            self._guard.silent(node)

    def state(self) -> dict[str, Any]:
        """Return what is kept between trees: nothing."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with what :meth:`state` returned."""


def _too_many(given: Mapping[int, Sums]) -> dict[int, str]:
    """Return those with the most rows, until the others' sums have room."""
    claimed = {node: int(sums.rows[0]) for node, sums in given.items()}
    refused: dict[int, str] = {}
    while sum(claimed.values()) > MAX_ROWS:
        node = max(claimed, key=claimed.__getitem__)
        refused[node] = f"its {claimed.pop(node)} rows leave no room for sums over all clients"
    return refused
