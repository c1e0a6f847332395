"""A branch that answers requests for histograms."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from frugalfl.trees import Forest, Grid, Histograms, Reply, Request
from frugalfl.trees.forest import Float64s, UInt8s
from frugalfl.trees.messages import marks


class Worker:
    """Answers requests, whether or not it saw those before.

    Args:
        binned: uint8 (n, f), from the agreed ``Bins``.
        y: 0 or 1 (n,).
        grid: What all branches agreed on.
        keys: See ``Histograms``.

    Raises:
        UsageError: As for ``Histograms``.
    """

    def __init__(
        self,
        binned: UInt8s,
        y: npt.NDArray[np.integer],
        grid: Grid,
        keys: npt.NDArray[np.uint64],
    ) -> None:
        self._grid = grid
        self._histograms = Histograms(binned, y, grid, keys)
        self._forest = Forest()
        self._marks = marks(self._forest)

    @property
    def scores(self) -> Float64s:
        """Raw scores of the rows with the trees that are finished (log odds), shape (n,)."""
        return self._histograms.scores

    def answer(self, request: bytes) -> bytes:
        """Return the reply to a request.

        Raises:
            FrameError: The bytes are not a request over this grid.
        """
        asked = Request.from_bytes(request, self._grid)
        if not self._catch_up(asked):
            return Reply(0, None).to_bytes(self._grid)
        self._histograms.move_to(self._forest)
        sums = self._histograms.of(asked.splits, asked.wanted)
        return Reply(len(self._forest), sums).to_bytes(self._grid)

    def _catch_up(self, asked: Request) -> bool:
        """Get to the trees that the request names; whether those it leaves out are there."""
        if asked.held == 0:
            kept: tuple[Forest, list[int]] = Forest(asked.new.base), marks(Forest(asked.new.base))
        elif asked.held < len(self._marks) and self._marks[asked.held] == asked.mark:
            kept = Forest(self._forest.base, self._forest.trees[: asked.held]), self._marks
        else:
            return False
        forest, known = kept
        found = marks(asked.new, known[asked.held])
        if found[-1] == self._marks[-1] and asked.held + len(asked.new) == len(self._forest):
            return True
        self._forest = Forest(forest.base, forest.trees + asked.new.trees)
        self._marks = [*known[: asked.held], *found]
        return True
