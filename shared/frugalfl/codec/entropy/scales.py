"""The scattered coder's predictions, in numpy: tensor, row and column scales learned on the way.

A cell's class is the distance, in half octaves, between its rounding threshold and the product
of the scales of its tensor, row and column. After each round the scales are fitted to all cells
seen so far (one damped sweep of iterative proportional fitting), so no scale is ever sent.
Everything is integer: scales count eighths of an octave, chances count 1/65536.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from .scatter import ROUNDS
from .tables import CHANCES, EIGHTHS, HALVES_BLIND, HALVES_HINTED, HAZARDS
from .thresholds import mix

Lines = NDArray[np.int32]

CLASSES = 84
CENTRE = 24
FIRST_SCALE = -48
MAX_TENSOR_SCALE = 320
MAX_LINE_SCALE = 60
PRIOR = 32  # how many cells the prior of a class counts for
LINE_PRIOR = 2 << 16
TENSOR_PRIOR = 1 << 15
_CHANCES = np.array(CHANCES, np.int64)
_HAZARDS = np.array(HAZARDS, np.int64)
_EIGHTHS = np.array(EIGHTHS[1:], np.float64) / 65536


class Scales:
    """Predicts hazards for all cells of all tensors of a frame.

    Args:
        shapes: rows and columns of each tensor.
        thresholds: uint32 rounding threshold of each cell, in order of tensors; None if unknown.
    """

    def __init__(
        self, shapes: Sequence[tuple[int, int]], thresholds: NDArray[np.uint32] | None
    ) -> None:
        sizes = [rows * cols for rows, cols in shapes]
        total = sum(sizes)
        # Small types and no copy for longer than needed: a device decodes in this memory.
        coarse = _upper(mix(0, total) if thresholds is None else thresholds)
        turns, logs = _threshold_tables()
        turn = turns[coarse]
        self.order = np.argsort(turn, kind="stable").astype(np.int32)
        self.ends = np.cumsum(np.bincount(turn, minlength=ROUNDS)).tolist()
        self._tensor, self._row, self._col = (
            _lines(shapes, total, kind)[self.order] for kind in range(3)
        )
        if thresholds is None:
            self._log = np.zeros(total, np.int16)
        else:
            self._log = logs[coarse[self.order]]
        self._prior = np.array(HALVES_HINTED if thresholds is not None else HALVES_BLIND, np.int64)
        self._weights = self._prior.astype(np.float64)
        self._tensor_scale = np.full(len(shapes), FIRST_SCALE, np.int32)
        self._row_scale = np.zeros(sum(rows for rows, _ in shapes), np.int32)
        self._col_scale = np.zeros(sum(cols for _, cols in shapes), np.int32)
        self._seen = np.zeros(CLASSES, np.int64)
        self._ones = np.zeros(CLASSES, np.int64)
        self._hit = np.zeros(total, np.bool_)
        self._round = -1
        self._classes = np.zeros(0, np.uint8)

    def bounds(self, index: int) -> tuple[int, int]:
        """The cells of a round, as a slice of `order`."""
        return (self.ends[index - 1] if index else 0), self.ends[index]

    def begin(self, index: int) -> Sequence[int]:
        """The running sum of the hazards of a round's cells: one entry more than cells."""
        self._round = index
        start, stop = self.bounds(index)
        self._classes = _classes(self._distance(start, stop))
        chances = ((self._ones << 16) + PRIOR * self._prior) // (self._seen + PRIOR)
        levels = np.minimum(np.searchsorted(_CHANCES, chances), len(CHANCES) - 1)
        sums = np.zeros(stop - start + 1, np.int64)
        np.cumsum(_HAZARDS[levels][self._classes], out=sums[1:])
        # Indexed as fast as a list, at a quarter of its memory.
        running: memoryview[int] = memoryview(sums)  # type: ignore[arg-type]
        return running

    def row(self, place: int) -> int:
        """A number for the row of a cell of the round begun last, unique in the frame."""
        return int(self._row[self.bounds(self._round)[0] + place])

    def learn(self, hits: list[int]) -> None:
        """Be told which cells of the round begun last are nonzero; refit the scales."""
        start, stop = self.bounds(self._round)
        self._seen += np.bincount(self._classes, minlength=CLASSES)
        self._ones += np.bincount(self._classes[hits], minlength=CLASSES)
        self._hit[start:stop][hits] = True
        if self._round + 1 == ROUNDS or stop == start:
            return
        hit_places = self._hit[:stop].nonzero()[0]
        distance = self._distance(0, stop)
        for lines, scale, prior, bound in (
            (self._tensor, self._tensor_scale, TENSOR_PRIOR, MAX_TENSOR_SCALE),
            (self._row, self._row_scale, LINE_PRIOR, MAX_LINE_SCALE),
            (self._col, self._col_scale, LINE_PRIOR, MAX_LINE_SCALE),
        ):
            seen = lines[:stop]
            hit = np.bincount(seen[hit_places], minlength=scale.size) << 16
            # Float sums of integers below 2**53: exact.
            mean = np.bincount(seen, self._weights[_classes(distance)], scale.size)
            step = _eighths(hit + prior) - _eighths(mean.astype(np.int64) + prior)
            new = np.clip(scale + ((step * 45 + 32) >> 6), -bound, bound)
            if lines is not self._col:
                distance -= (new - scale)[seen]
            scale[:] = new

    def _distance(self, start: int, stop: int) -> NDArray[np.int32]:
        part = slice(start, stop)
        distance = self._tensor_scale[self._tensor[part]]
        np.subtract(self._log[part], distance, out=distance)
        distance -= self._row_scale[self._row[part]]
        distance -= self._col_scale[self._col[part]]
        return distance


def _classes(distance: NDArray[np.int32]) -> NDArray[np.uint8]:
    classes = distance >> 2
    classes += CENTRE
    np.clip(classes, 0, CLASSES - 1, out=classes)
    return classes.astype(np.uint8)


def _lines(shapes: Sequence[tuple[int, int]], total: int, kind: int) -> Lines:
    """For each cell the number of its tensor (kind 0), row (1) or column (2)."""
    lines = np.empty(total, np.int32)
    at = first_row = first_col = 0
    for index, (rows, cols) in enumerate(shapes):
        part = lines[at : at + rows * cols].reshape(rows, cols)
        row = np.arange(first_row, first_row + rows, dtype=np.int32)[:, None]
        col = np.arange(first_col, first_col + cols, dtype=np.int32)
        part[:] = (np.int32(index), row, col)[kind]
        at, first_row, first_col = at + rows * cols, first_row + rows, first_col + cols
    return lines


def _upper(words: NDArray[np.uint32]) -> NDArray[np.uint16]:
    return (words >> np.uint32(16)).astype(np.uint16)


@cache
def _threshold_tables() -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    """Round and logarithm of a threshold by its upper 16 bits."""
    odd = 2 * np.arange(1 << 16, dtype=np.int64) + 1
    logs = (_eighths(odd) - 8 * 17).astype(np.int16)
    # The odd number has one bit more than the threshold; a threshold of 0 has a bit of its own.
    return np.maximum(np.frexp(odd)[1] - 6, 0).astype(np.uint8), logs


def _eighths(values: NDArray[np.int64]) -> NDArray[np.int32]:
    """The logarithm to base 2 of positive integers, in eighths, rounded down."""
    # Exact: frexp of an integer below 2**53 only splits it.
    mantissa, exponent = np.frexp(values)
    part = np.searchsorted(_EIGHTHS, mantissa, side="right").astype(np.int32)
    part += 8 * (exponent - 1)
    return part
