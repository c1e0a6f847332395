"""The server's half of histogram aggregation: trees from sums of histograms.

A tree grows leaf by leaf, the best split first, as LightGBM's do (Ke et al., NeurIPS 2017), with
its rules for gains, counts and ties. Asking for one leaf's children after the other would take 30
round trips for 31 leaves. But a node's best split does not depend on the rest of the tree, so the
children of all leaves that may still be split are asked for at once; what grows is the same tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np

from frugalfl.errors import FrameError
from frugalfl.trees.forest import Forest, Tree
from frugalfl.trees.frame import decode_forest, encode_forest
from frugalfl.trees.histogram import FINE_BITS, Grid, Split, Sums
from frugalfl.trees.messages import Request, marks, next_mark
from frugalfl.trees.params import Growth

#: Hessians are above this, so that no division is by zero; the same as LightGBM's.
_EPSILON = 1e-15


@dataclass(frozen=True)
class Best:
    """The best split of a node.

    Attributes:
        gain: What the loss falls by, twice; above 0.
        feature: Which feature.
        bin: The last bin that goes left.
        fewer_left: Whether the left has fewer rows, as far as hessians tell.
    """

    gain: float
    feature: int
    bin: int
    fewer_left: bool


@dataclass
class _Node:
    """A node of the tree that grows; ``split`` is the number of its split once that was sent."""

    sums: Sums
    best: Best | None
    split: int | None = None


class Grower:
    """Grows trees from sums over the branches, one request after the other.

    Use: while not :attr:`finished`, send :meth:`request` and call :meth:`take` with the sums of all
    replies. All requests of a tree go to the same branches: if one is lost, or another comes,
    :meth:`restart` the tree.

    Args:
        grid: What all branches agreed on.
        params: How trees grow.
        trees: How many trees there are in the end.
        forest: What there is already; with the base, from which the first tree starts.
    """

    def __init__(self, grid: Grid, params: Growth, trees: int, forest: Forest) -> None:
        self.grid, self.params, self.forest = grid, params, forest
        self._trees = trees
        self._marks = marks(forest)
        self.restart()

    def restart(self) -> None:
        """Forget the tree that grows: its histograms are of branches that no longer answer."""
        self.splits: list[Split] = []
        self.wanted: list[int] = [0]
        self._nodes: dict[int, _Node] = {}

    @property
    def finished(self) -> bool:
        """Return whether all trees are there."""
        return len(self.forest) >= self._trees

    def request(self, held: int | None = None) -> Request:
        """Return what to ask the branches.

        Args:
            held: How many finished trees the branch has; by default all but the newest, which a
                branch learns of by the first request after it.
        """
        if held is None:
            held = len(self.forest) if self.splits else max(len(self.forest) - 1, 0)
        new = Forest(self.forest.base, self.forest.trees[held:])
        return Request(held, self._marks[held], new, tuple(self.splits), tuple(self.wanted))

    def take(self, sums: Sums) -> None:
        """Go on with the sums over all branches of the wanted nodes, in their order.

        Raises:
            FrameError: Sums that no rows have.
        """
        for index, node in enumerate(self.wanted):
            self._know(node, sums.one(index))
        order = self._order()
        self.wanted = [self._part(node) for node in order if self._nodes[node].split is None]
        if not self.wanted:
            self._finish(order)

    def _know(self, node: int, sums: Sums) -> None:
        """Keep a node's sums, and those of its sibling: what the parent's are above them."""
        if node == 0:
            self._add(0, sums)
            return
        sibling = node + 1 if node % 2 else node - 1
        parent = self._nodes[self.splits[(node - 1) // 2].node]
        rest = parent.sums - sums
        if int(rest.rows[0]) < 0 or int(rest.totals[0, 1]) < 0:
            raise FrameError("a node has more rows than the one above it: branches changed")
        self._add(node, sums)
        self._add(sibling, rest)

    def _add(self, node: int, sums: Sums) -> None:
        self._nodes[node] = _Node(sums, find_split(sums, self.grid, self.params))

    def _order(self) -> list[int]:
        """Return the nodes that are split, in order, as far as is known.

        A node whose children are not known yet counts as if they were never split: so the order
        holds every node that may be split, and once all children are known it is the tree's.
        """
        order: list[int] = []
        # The largest gain first; of equal ones the leaf with the lowest number.
        open_ = [(-best.gain, 0, 0)] if (best := self._nodes[0].best) else []
        while open_ and len(order) < self.params.leaves - 1:
            _, leaf, chosen = heappop(open_)
            order.append(chosen)
            split = self._nodes[chosen].split
            if split is not None:
                for child, name in ((2 * split + 1, leaf), (2 * split + 2, len(order))):
                    if best := self._nodes[child].best:
                        heappush(open_, (-best.gain, name, child))
        return order

    def _part(self, number: int) -> int:
        """Part a node, and return which of its children to ask for: the one of fewer rows."""
        node = self._nodes[number]
        assert node.best
        node.split = len(self.splits)
        self.splits.append(Split(number, node.best.feature, node.best.bin))
        return 2 * node.split + (1 if node.best.fewer_left else 2)

    def _finish(self, order: Sequence[int]) -> None:
        """Add the tree, as the branches will decode it, and begin the next."""
        tree = self._tree(order)
        self.forest += Forest(0.0, (tree,))
        self._marks.append(next_mark(self._marks[-1], tree))
        self.restart()

    def _tree(self, order: Sequence[int]) -> Tree:
        """Return the tree of the nodes that are split, in order."""
        made = {node: number for number, node in enumerate(order)}
        ends: list[int] = []
        leaves: list[int] = []
        splits = [self.splits[self._nodes[node].split or 0] for node in order]
        for node in order or [0]:
            split = self._nodes[node].split
            if split is None:
                leaves.append(node)
                continue
            for child in (2 * split + 1, 2 * split + 2):
                if child not in made:
                    leaves.append(child)
                ends.append(made.get(child, -len(leaves)))
        children = np.array(ends, np.int16).reshape(-1, 2)
        tree = Tree(
            np.array([split.feature for split in splits], np.uint8),
            np.array([split.bin for split in splits], np.uint8),
            children[:, 0].copy(),
            children[:, 1].copy(),
            np.array([self._value(leaf) for leaf in leaves], np.float32),
        )
        return decode_forest(encode_forest(Forest(0.0, (tree,))), len(self.grid.counts)).trees[0]

    def _value(self, node: int) -> float:
        gradient, hessian = np.ldexp(self._nodes[node].sums.totals[0].astype(float), -FINE_BITS)
        step = -gradient / (hessian + self.params.l2 + _EPSILON)
        limit = self.params.max_step
        return float(np.clip(step, -limit, limit)) * self.params.learning_rate


def find_split(sums: Sums, grid: Grid, params: Growth) -> Best | None:
    """Return the split of one node that gains most, or ``None`` if none gains.

    As in LightGBM, the rows on each side are estimated from the hessians there; of equal gains
    the lower feature's wins, and the later bin's.

    Args:
        sums: Of one node.
        grid: What its cells mean.
        params: How trees grow.
    """
    cells = np.ldexp(sums.cells[0].astype(np.float64), -grid.bits)
    hessians = cells[:, :, 1].cumsum(axis=1)
    gradients = cells[:, :, 0].cumsum(axis=1) + hessians
    whole_gradient, whole_hessian = float(gradients[0, -1]), float(hessians[0, -1])
    rows = int(sums.rows[0])
    if rows < 2 * params.min_rows_in_leaf or whole_hessian <= 0:
        return None
    left, right = hessians[:, :-1], whole_hessian - hessians[:, :-1]
    rows_right = np.floor(right * (rows / whole_hessian) + 0.5)
    allowed = (
        (np.minimum(rows - rows_right, rows_right) >= params.min_rows_in_leaf)
        & (np.minimum(left, right) >= params.min_hessian_in_leaf)
        & grid.inside[:, 1:]
    )
    gains = _gain(gradients[:, :-1], left, params)
    gains += _gain(whole_gradient - gradients[:, :-1], right, params)
    gains -= _gain(np.float64(whole_gradient), np.float64(whole_hessian), params)
    gains = np.where(allowed, gains, 0.0)
    # The later of equal ones first.
    by_feature = gains.shape[1] - 1 - gains[:, ::-1].argmax(axis=1)
    best = gains[np.arange(len(gains)), by_feature]
    feature = int(best.argmax())
    if best[feature] <= _EPSILON:
        return None
    edge = int(by_feature[feature])
    return Best(float(best[feature]), feature, edge, bool(2 * rows_right[feature, edge] >= rows))


def _gain(
    gradient: np.typing.NDArray[np.float64] | np.float64,
    hessian: np.typing.NDArray[np.float64] | np.float64,
    params: Growth,
) -> np.typing.NDArray[np.float64]:
    """Return what a leaf of these sums takes off the loss, twice."""
    hessian = np.maximum(hessian, 0) + params.l2 + _EPSILON
    step = np.clip(-gradient / hessian, -params.max_step, params.max_step)
    return np.asarray(-(2 * gradient * step + hessian * step * step))
