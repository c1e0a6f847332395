"""The scattered coder's predictions, in numpy: tensor, row and column scales learned on the way.

A cell's class is the distance, in half octaves, between its rounding threshold and the product
of the scales of its tensor, row and column. After each round the scales are fitted to all cells
seen so far (one damped sweep of iterative proportional fitting), so no scale is ever sent.
Everything is integer: scales count eighths of an octave, chances count 1/65536. Sums are kept in
float64, which holds integers below 2**53 exactly.

Small models are bound by the number of numpy calls, large ones by memory that is touched for the
first time: hence tables in place of arithmetic, and results written into arrays that exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from .chance_tables import CHANCES, EIGHTHS, HALVES_BLIND, HALVES_HINTED, HAZARDS
from .scatter import ROUNDS, Round
from .thresholds import mix

Ints = NDArray[np.intp]
Floats = NDArray[np.float64]

CLASSES = 84
CENTRE = 24
FIRST_SCALE = -48
MAX_TENSOR_SCALE = 320
MAX_LINE_SCALE = 60
PRIOR = 32  # how many cells the prior of a class counts for
LINE_PRIOR = 2 << 16
TENSOR_PRIOR = 1 << 15
_SIXTEEN = np.array(16, np.int64)
_CHUNK = 1 << 15  # cells worked on at once if that saves memory

_CHANCES = np.array(CHANCES, np.int64)
_HAZARDS = np.array([*HAZARDS, HAZARDS[-1]], np.int64)
# Where logarithms step up: an integer below 2**53 has as many eighths as entries not above it.
_EDGES = np.array([2.0 ** (octave - 15) * edge for octave in range(53) for edge in EIGHTHS][1:])
# How far a scale moves, by the difference of two logarithms.
_MOVES = (45 * np.arange(-_EDGES.size, _EDGES.size + 1) + 32) >> 6
# A distance is kept as an index: it is at least the smallest logarithm less the largest scales.
_NO_LOG = 8 * 17
_ORIGIN = MAX_TENSOR_SCALE + 2 * MAX_LINE_SCALE + _NO_LOG
_DISTANCES = 1024
_CLASS = (((np.arange(_DISTANCES) - _ORIGIN) >> 2) + CENTRE).clip(0, CLASSES - 1)
_CLASS_STARTS = _CLASS.searchsorted(np.arange(CLASSES))


class Scales:
    """Predicts hazards for all cells of all tensors of a frame.

    Args:
        shapes: rows and columns of each tensor.
        thresholds: uint32 rounding thresholds of each tensor's cells; None if unknown.
    """

    def __init__(
        self,
        shapes: Sequence[tuple[int, int]],
        thresholds: Iterable[NDArray[np.uint32]] | None,
    ) -> None:
        shapes = [shape for shape in shapes if shape[0] and shape[1]]
        total = sum(height * width for height, width in shapes)
        logs = _logs([mix(0, total)] if thresholds is None else thresholds, total)
        self._log = None if thresholds is None else logs
        self.order, self.ends = _visits(logs)

        rows, cols = np.array(shapes, np.intp).reshape(-1, 2).T
        width = cols.repeat(rows)
        self._tensor_of_row = np.arange(rows.size, dtype=np.int32).repeat(rows)
        self._row_of = np.arange(width.size, dtype=np.int32).repeat(width)
        # Columns are numbered through all tensors: what to take from a cell's number for its own.
        before = width.cumsum()
        before -= width
        before -= (cols.cumsum() - cols).repeat(rows)
        self._before = before.astype(np.int32)
        self._tensors = _CellLines(rows.size, FIRST_SCALE, TENSOR_PRIOR, MAX_TENSOR_SCALE)
        self._rows = _CellLines(width.size, 0, LINE_PRIOR, MAX_LINE_SCALE)
        self._cols = _CellLines(int(cols.sum()), 0, LINE_PRIOR, MAX_LINE_SCALE)
        prior, self._weights = _priors(thresholds is not None)
        self._ones = prior * PRIOR
        self._seen = np.full(CLASSES, PRIOR)

        learned = self.ends[-2]  # nobody learns from the cells of the last round
        room = max(learned, total - learned)
        self._row, self._col, self._distance = np.empty((3, room), np.intp)
        self._scratch = np.empty(room, np.float64)
        self._runs, self._runs_until = self._find_runs(learned)
        self._round = -1

    def _find_runs(self, count: int) -> tuple[Ints, list[int]]:
        """Where a row begins among the first cells of `order`, and how many do by each end."""
        rows = self._row_of.take(self.order[:count])
        begins = np.ones(count, np.bool_)
        np.not_equal(rows[1:], rows[:-1], out=begins[1:])
        begins[[end for end in self.ends if end < count]] = True
        runs = begins.nonzero()[0]
        return runs, runs.searchsorted(self.ends).tolist()

    def bounds(self, index: int) -> tuple[int, int]:
        """The cells of a round, as a slice of `order`."""
        return (self.ends[index - 1] if index else 0), self.ends[index]

    def begin(self, index: int) -> Round:
        """Predict the hazards of the cells of a round."""
        self._round = index
        start, stop = self.bounds(index)
        cells = self.order[start:stop]
        # Cells that were learned from stay, up to the last round.
        part = slice(start, stop) if index + 1 < ROUNDS else slice(stop - start)
        row, col, distance = self._row[part], self._col[part], self._distance[part]
        spare = self._scratch.view(np.intp)[: stop - start]
        row[:] = self._row_of.take(cells)
        np.subtract(cells, self._before.take(row), out=col)
        by_row = self._tensors.scale.take(self._tensor_of_row)
        by_row += self._rows.scale
        by_row -= _ORIGIN if self._log is None else _ORIGIN - _NO_LOG
        by_row.take(row, out=distance, mode="clip")
        np.negative(distance, out=distance)
        distance -= self._cols.scale.take(col, out=spare, mode="clip")
        if self._log is not None:
            distance += self._log.take(cells)

        hazards = _HAZARDS.take(_CHANCES.searchsorted(self._ones // self._seen)).take(_CLASS)
        sums = np.empty(stop - start + 1, np.int64)
        sums[0] = 0
        hazards.take(distance, out=sums[1:], mode="clip")
        np.add.accumulate(sums, out=sums)
        # Read one by one: a memoryview is nearly as fast as a list, at a quarter of its memory.
        return Round(memoryview(sums), memoryview(row))  # type: ignore[arg-type]

    def learn(self, hits: Sequence[int]) -> None:
        """Be told which cells of the round begun last are nonzero; refit the scales."""
        start, stop = self.bounds(self._round)
        if self._round + 1 == ROUNDS or stop == start:
            return
        self._seen += _by_class(self._distance[start:stop])
        if hits:
            places = np.array(hits, np.intp)
            places += start
            self._ones += np.left_shift(_by_class(self._distance.take(places)), _SIXTEEN)
            row = self._row.take(places)
            self._tensors.hit(self._tensor_of_row.take(row))
            self._rows.hit(row)
            self._cols.hit(self._col.take(places))

        row, col, distance = self._row[:stop], self._col[:stop], self._distance[:stop]
        weights, spare = self._scratch[:stop], self._scratch.view(np.intp)[:stop]
        runs = self._runs[: self._runs_until[self._round]]
        row_of_run = row.take(runs)

        self._weights.take(distance, out=weights, mode="clip")
        expected = np.add.reduceat(weights, runs)
        change = self._tensors.fit(self._tensor_of_row.take(row_of_run), expected)
        change = change.take(self._tensor_of_row)
        distance -= change.take(row, out=spare, mode="clip")

        self._weights.take(distance, out=weights, mode="clip")
        change = self._rows.fit(row_of_run, np.add.reduceat(weights, runs))
        distance -= change.take(row, out=spare, mode="clip")

        self._weights.take(distance, out=weights, mode="clip")
        change = self._cols.fit(col, weights)
        distance -= change.take(col, out=spare, mode="clip")


class _CellLines:
    """The scales of all tensors, of all rows or of all columns, and their hits so far."""

    def __init__(self, count: int, scale: int, prior: int, bound: int) -> None:
        self.scale = np.full(count, scale, np.intp)
        # Arrays without axes: numpy takes longer over numbers of Python's.
        self._prior, self._least, self._most = map(np.array, (float(prior), -bound, bound))
        self._hits = np.full(count, float(prior))
        self._log = np.full(count, _EDGES.searchsorted(self._prior, "right") + _EDGES.size)

    def hit(self, lines: NDArray[np.signedinteger]) -> None:
        """Count one hit for each entry."""
        np.add.at(self._hits, lines, 65536.0)
        self._log[lines] = _EDGES.searchsorted(self._hits.take(lines), "right") + _EDGES.size

    def fit(self, lines: NDArray[np.signedinteger], expected: Floats) -> Ints:
        """Move the scales towards the hits; the change of each.

        Args:
            lines: line of each entry of `expected`.
            expected: hits (times 65536) that the scales predict.
        """
        mean = np.bincount(lines, expected, self.scale.size)
        mean += self._prior
        log = _EDGES.searchsorted(mean, "right")
        del mean
        scale = _MOVES.take(np.subtract(self._log, log, out=log))
        del log
        scale += self.scale
        np.minimum(scale, self._most, out=scale)
        np.maximum(scale, self._least, out=scale)
        change: Ints = np.subtract(scale, self.scale, out=self.scale)
        self.scale = scale
        return change


def _by_class(distance: Ints) -> Ints:
    return np.add.reduceat(np.bincount(distance, minlength=_DISTANCES), _CLASS_STARTS)


def _logs(thresholds: Iterable[NDArray[np.uint32]], total: int) -> NDArray[np.uint8]:
    """The logarithm, in eighths, of twice the upper half of each threshold and 1."""
    logs = np.empty(total, np.uint8)
    table = _log_table()
    at = 0
    for words in thresholds:
        flat = words.ravel()
        for start in range(0, flat.size, _CHUNK):
            upper = flat[start : start + _CHUNK] >> np.uint32(16)
            table.take(upper, out=logs[at : at + upper.size], mode="clip")
            at += upper.size
    return logs


def _visits(logs: NDArray[np.uint8]) -> tuple[Ints, list[int]]:
    """The order in which cells are visited, and where in it each round ends."""
    # The odd number has one bit more than the threshold; a threshold of 0 has a bit of its own.
    bits = np.maximum(logs, np.uint8(40))
    bits >>= np.uint8(3)
    order = bits.argsort(kind="stable")
    ends = bits.searchsorted(np.arange(6, 6 + ROUNDS, dtype=np.uint8), sorter=order)
    return order, ends.tolist()


@cache
def _log_table() -> NDArray[np.uint8]:
    return _EDGES.searchsorted(2.0 * np.arange(1 << 16) + 1, "right").astype(np.uint8)


@cache
def _priors(hinted: bool) -> tuple[NDArray[np.int64], Floats]:
    """The prior chance of a nonzero, by class and by distance."""
    prior = np.array(HALVES_HINTED if hinted else HALVES_BLIND, np.int64)
    return prior, prior.take(_CLASS).astype(np.float64)
