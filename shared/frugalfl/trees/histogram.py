"""The branch's half of histogram aggregation: sums of gradients by node, feature and bin.

Everything that leaves is a whole number, so sums are exact whatever their order, and a sum over
branches is what the pooled rows would give. A row's gradient and hessian are rounded to multiples
of 2**-bits, up or down by chance so that sums are unbiased (Shi et al., NeurIPS 2022: few bits
suffice, because labels are noisier than the rounding). What decides the values of leaves, the
totals of a node, is rounded to 2**-20.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from frugalfl.errors import FrameError, UsageError
from frugalfl.trees.forest import Float64s, Forest, UInt8s

Int64s = npt.NDArray[np.int64]

#: Rows of all branches together: no sum reaches 2**52, and float64 holds it exactly.
MAX_ROWS = 1 << 31
MAX_BITS = 16
#: Bits behind the point of a node's totals.
FINE_BITS = 20
#: Most splits of one tree that are tried, final or not.
MAX_SPLITS = 1 << 12


@dataclass(frozen=True)
class Grid:
    """What both ends must agree on to add histograms.

    Attributes:
        counts: The number of bins of each feature.
        bits: Bits behind the point of a row's gradient and hessian.
        seed: Of the rounding.
    """

    counts: tuple[int, ...]
    bits: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= MAX_BITS:
            raise UsageError(f"gradients have 1 to {MAX_BITS} bits, not {self.bits}")
        if not self.counts or not all(1 <= count <= 255 for count in self.counts):
            raise UsageError("histograms are of 1 feature or more, of 1 to 255 bins each")

    @property
    def width(self) -> int:
        """Return the number of bins of the widest feature: histograms are rectangles."""
        return max(self.counts)

    @property
    def inside(self) -> npt.NDArray[np.bool_]:
        """Return which cells (f, width) are bins."""
        return np.arange(self.width) < np.array(self.counts)[:, None]


@dataclass(frozen=True)
class Split:
    """A split of a tree that grows: its node, and what goes left.

    The k-th split makes nodes 2k + 1 (left) and 2k + 2 (right); node 0 is all rows.
    """

    node: int
    feature: int
    bin: int


@dataclass(frozen=True, eq=False)
class Sums:
    """Histograms of some nodes, of one branch or of several.

    Attributes:
        rows: int64 (k,), rows in each node.
        totals: int64 (k, 2), sums of gradients and hessians, in 2**-20.
        cells: int64 (k, f, width, 2), in 2**-bits: what gradients are above hessians, hessians.
            Most rows are negatives of small probability p, whose gradient p and hessian p(1 - p)
            hardly differ: the difference is mostly 0.
    """

    rows: Int64s
    totals: Int64s
    cells: Int64s

    def __add__(self, other: Sums) -> Sums:
        """Return the sums over both.

        Raises:
            FrameError: More rows than any sum has room for.
        """
        rows = self.rows + other.rows
        if rows.size and int(rows.max()) > MAX_ROWS:
            raise FrameError(f"the branches claim more than {MAX_ROWS} rows together")
        return Sums(rows, self.totals + other.totals, self.cells + other.cells)

    def __sub__(self, other: Sums) -> Sums:
        """Return the sums over the rows that are only in these."""
        return Sums(self.rows - other.rows, self.totals - other.totals, self.cells - other.cells)

    def one(self, index: int) -> Sums:
        """Return the sums of one of the nodes."""
        at = slice(index, index + 1)
        return Sums(self.rows[at], self.totals[at], self.cells[at])


def check_splits(splits: Sequence[Split], wanted: Sequence[int], grid: Grid) -> None:
    """Refuse splits that no tree has, and nodes that they do not make.

    Raises:
        FrameError: A node that is not there or is split twice, or a feature or bin out of range.
    """
    if len(splits) > MAX_SPLITS:
        raise FrameError(f"a tree of {len(splits)} splits was asked for, at most {MAX_SPLITS} are")
    seen: set[int] = set()
    for number, split in enumerate(splits):
        if not 0 <= split.node <= 2 * number or split.node in seen:
            raise FrameError(f"split {number} is of node {split.node}, which is not a leaf by then")
        seen.add(split.node)
        if not 0 <= split.feature < len(grid.counts):
            raise FrameError(f"split {number} is on feature {split.feature}, which is not there")
        if not 0 <= split.bin < grid.counts[split.feature] - 1:
            raise FrameError(f"split {number} is after bin {split.bin}, where no bin follows")
    leaves = set(range(2 * len(splits) + 1)) - seen
    if len(set(wanted)) != len(wanted) or not leaves.issuperset(wanted):
        raise FrameError("histograms were asked for of nodes that are no leaves")


class Histograms:
    """A branch's rows, and where each is in the tree that grows.

    Nothing in it cannot be found again from the rows and the next request: it is a cache.

    Attributes:
        scores: float64 (n,), raw scores of the finished trees (log odds).

    Args:
        binned: uint8 (n, f).
        y: 0 or 1 (n,).
        grid: What all branches agreed on.
        keys: uint64 (n,), what the rounding of each row is drawn from; any numbers that differ
            between rows and between branches, such as hashes of ids.

    Raises:
        UsageError: Shapes that do not fit, labels other than 0 and 1, or too many rows.
    """

    def __init__(
        self,
        binned: UInt8s,
        y: npt.NDArray[np.integer],
        grid: Grid,
        keys: npt.NDArray[np.uint64],
    ) -> None:
        if binned.ndim != 2 or binned.dtype != np.uint8 or binned.shape[1] != len(grid.counts):
            raise UsageError(f"histograms need rows of {len(grid.counts)} bins, uint8: see Bins.of")
        if not len(binned) == len(y) == len(keys) or len(y) > MAX_ROWS:
            raise UsageError(f"{len(binned)} rows have {len(y)} labels and {len(keys)} keys")
        if not np.isin(y, (0, 1)).all():
            raise UsageError("labels are 0 or 1")
        if len(binned) and (binned.max(axis=0) >= np.array(grid.counts)).any():
            raise UsageError("a row has a bin that was not agreed on: bin it with the agreed Bins")
        self.grid = grid
        self._rows = np.ascontiguousarray(binned)
        self._columns = np.ascontiguousarray(binned.T)
        self._positive = y.astype(np.float64)
        self._keys = keys.astype(np.uint64)
        self.forest = Forest()
        self.scores = np.zeros(len(y))
        self._begin_tree()

    def move_to(self, forest: Forest) -> None:
        """Go to the tree after these; trees that were there already cost nothing."""
        known = len(self.forest)
        if forest.base != self.forest.base or forest.trees[:known] != self.forest.trees:
            self._start(forest)
        elif len(forest) > known:
            self.scores += Forest(0.0, forest.trees[known:]).raw_scores(self._rows)
            self.forest = forest
            self._begin_tree()

    def _start(self, forest: Forest) -> None:
        self.forest = forest
        self.scores = forest.raw_scores(self._rows)
        self._begin_tree()

    def _begin_tree(self) -> None:
        """Round the gradients of the logistic loss at the scores."""
        chance = 1 / (1 + np.exp(-self.scores))
        gradient, hessian = chance - self._positive, chance * (1 - chance)
        self._fine = [np.rint(np.ldexp(part, FINE_BITS)) for part in (gradient, hessian)]
        # One threshold for both, so that where they are close they are rounded alike.
        threshold = _chances(self._keys, self.grid.seed, len(self.forest.trees))
        hessians = np.floor(np.ldexp(hessian, self.grid.bits) + threshold)
        gradients = np.floor(np.ldexp(gradient, self.grid.bits) + threshold)
        self._coarse = [gradients - hessians, hessians]
        self._splits: tuple[Split, ...] = ()
        self._node = np.zeros(len(self._rows), np.intp)

    def of(self, splits: Sequence[Split], wanted: Sequence[int]) -> Sums:
        """Return the sums of some nodes.

        Args:
            splits: Of the tree so far.
            wanted: Nodes that they make.

        Raises:
            FrameError: As for :func:`check_splits`.
        """
        check_splits(splits, wanted, self.grid)
        self._go_down(splits)
        slot = np.full(2 * len(splits) + 1, -1, np.intp)
        slot[list(wanted)] = np.arange(len(wanted))
        slots = slot[self._node]
        here = np.flatnonzero(slots >= 0)
        at, nodes = slots[here], len(wanted)
        rows = np.bincount(at, minlength=nodes).astype(np.int64)
        totals = [np.bincount(at, part[here], nodes) for part in self._fine]
        # Most rows round to nothing: only the others are walked.
        cells = [self._cells(here[part[here] != 0], slots, part, nodes) for part in self._coarse]
        return Sums(rows, np.stack(totals, axis=1).astype(np.int64), np.stack(cells, axis=3))

    def _go_down(self, splits: Sequence[Split]) -> None:
        """Move rows below the splits that are new; all of them, if it is another tree."""
        if tuple(splits[: len(self._splits)]) != self._splits:
            self._node[:] = 0
        self._splits = tuple(splits)
        number, feature, edge = (np.full(2 * len(splits) + 1, -1, np.intp) for _ in range(3))
        for k, split in enumerate(splits):
            number[split.node], feature[split.node], edge[split.node] = k, split.feature, split.bin
        while (rows := np.flatnonzero(number[self._node] >= 0)).size:
            node = self._node[rows]
            right = self._rows[rows, feature[node]] > edge[node]
            self._node[rows] = 2 * number[node] + 1 + right

    def _cells(
        self, rows: npt.NDArray[np.intp], slots: npt.NDArray[np.intp], part: Float64s, nodes: int
    ) -> Int64s:
        """Return sums of a part by node, feature and bin, int64 (nodes, f, width)."""
        features, width = len(self.grid.counts), self.grid.width
        found = np.empty((nodes, features, width), np.int64)
        start, weights = slots[rows] * width, part[rows]
        for feature, column in enumerate(self._columns):
            sums = np.bincount(start + column[rows], weights, nodes * width)
            found[:, feature] = sums.reshape(nodes, width)
        return found


def _chances(keys: npt.NDArray[np.uint64], seed: int, tree: int) -> Float64s:
    """Return a number from 0 to below 1 for each key, others for each tree.

    The finaliser of SplitMix64 (Steele, Lea and Flood, 2014), over keys, seed and tree.
    """
    with np.errstate(over="ignore"):
        word = keys + np.uint64((seed << 32 | tree) * 0x9E3779B97F4A7C15 & (1 << 64) - 1)
        word = (word ^ word >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        word = (word ^ word >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        word ^= word >> np.uint64(31)
    return np.ldexp((word >> np.uint64(11)).astype(np.float64), -53)
