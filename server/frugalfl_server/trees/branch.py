"""What one client said of the tree that grows, so that it cannot contradict itself.

A tree's rows do not change while it grows, nor does their rounding: what a node's histogram says of
the two sides of a split is exactly what the children's have to add up to.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from frugalfl.errors import FrameError
from frugalfl.trees.histogram import FINE_BITS, Grid, Int64s, Split, Sums
from frugalfl.trees.messages import check_sums
from frugalfl_server.trees.believable import Rows
from frugalfl_server.trees.peers import Vector

#: Standard deviations, of at most half a unit a row, that rounding by chance may be off.
_DEVIATIONS = 12


class Branch:
    """The nodes of one client's tree."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._nodes: dict[int, Sums] = {}

    @property
    def root(self) -> Sums:
        """All of its rows."""
        return self._nodes[0]

    def take(
        self, splits: Sequence[Split], wanted: Sequence[int], sums: Sums, rows: Rows | None
    ) -> None:
        """Compare new nodes with what is known, and keep them.

        Args:
            splits: Of the tree so far.
            wanted: The nodes.
            sums: What the client says of them.
            rows: What the client claims to have; ``None``: unknown.

        Raises:
            FrameError: It contradicts itself.
        """
        for index, node in enumerate(wanted):
            one = sums.one(index)
            self._check_rounding(one)
            if node == 0:
                self._take_root(one, rows)
                continue
            split = splits[(node - 1) // 2]
            rest = self._check_side(self._nodes[split.node], one, split, left=node % 2 == 1)
            self._nodes |= {node: one, (node + 1 if node % 2 else node - 1): rest}

    def _take_root(self, one: Sums, rows: Rows | None) -> None:
        before = self._nodes.get(0)
        if before is not None and not _same(before, one):
            raise FrameError("it answers the same question otherwise than before")
        if rows is not None:
            if int(one.rows[0]) != rows.rows:
                raise FrameError(f"its histograms are of {one.rows[0]} rows, it has {rows.rows}")
            gradient, hessian = np.ldexp(one.totals[0].astype(float), -FINE_BITS)
            rows.check(float(gradient), float(hessian), float(np.ldexp(rows.rows + 1, -FINE_BITS)))
        self._nodes = {0: one}

    def _check_rounding(self, one: Sums) -> None:
        """Refuse totals that are not, up to rounding, those of the histograms."""
        above, hessian = one.cells[0, 0].sum(axis=0)
        coarse = np.array([above + hessian, hessian], float)
        fine = np.ldexp(one.totals[0].astype(float), self._grid.bits - FINE_BITS)
        if (np.abs(fine - coarse) > _DEVIATIONS / 2 * np.sqrt(float(one.rows[0])) + 1).any():
            raise FrameError("a node's totals are not those of its histograms")

    def _check_side(self, parent: Sums, one: Sums, split: Split, left: bool) -> Sums:
        """Return what the parent has above one of its children."""
        side = slice(None, split.bin + 1) if left else slice(split.bin + 1, None)
        there = parent.cells[0, split.feature, side].sum(axis=0)
        rest = parent - one
        if (one.cells[0, 0].sum(axis=0) != there).any():
            raise FrameError("the histograms of a node are not those of its side of the split")
        if int(rest.rows[0]) < 0:
            raise FrameError("a node has more rows than the one above it")
        check_sums(rest, self._grid)
        return rest


def _same(one: Sums, other: Sums) -> bool:
    pairs = zip(_parts(one), _parts(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def _parts(sums: Sums) -> tuple[Int64s, Int64s, Int64s]:
    return sums.rows, sums.totals, sums.cells


def weighed(sums: Sums, share: float) -> Sums:
    """Return the sums times a share of at most 1: whole numbers, no difference below 0."""
    if share == 1:
        return sums
    rows, totals, cells = (np.rint(part * share).astype(np.int64) for part in _parts(sums))
    return Sums(rows, totals, cells)


def cells_of(root: Sums, grid: Grid) -> tuple[Vector, Vector]:
    """Return gradients and hessians of all bins of all features."""
    cells = np.ldexp(root.cells[0].astype(float), -grid.bits)[grid.inside]
    return cells[:, 0] + cells[:, 1], cells[:, 1]
