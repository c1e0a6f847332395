"""Many nonzeros: row and column classes, then passes of decisions in rANS lanes.

Rows and columns are sorted into at most 15 classes by how many nonzeros they hold (class 0: none,
and such lines are dropped). Each pair of classes has one chance for "is nonzero"; sizes continue
in unary, with chances by the level of the pair; each row has a class for the share of its minus
signs, because the entries of a row share the sign of its unit's error. Class tables are in the
scalar stream, everything else in the lanes. One function runs both ways.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frugalfl.errors import FrameError

from . import tensor_statistics
from .chance_tables import LEVELS, SIGN_LEVELS
from .lanes import Bits, Lanes
from .rangecoder import SymbolCoder, code_signed, fresh

RAW_SIGN = 7
UNARY = 14
EVEN = 40  # the level of an even chance
_CHANCES = np.array(LEVELS, np.uint16)
_SIGN_CHANCES = np.array(SIGN_LEVELS, np.uint16)
_TREE, _PAIR, _MORE, _TAIL = 0, 34, 68, 102

Ints = NDArray[np.int64]


def _live(nonzero: Bits, rows: Ints, cols: Ints) -> Bits:
    if rows.size < nonzero.shape[0]:
        nonzero = nonzero[rows]
    return nonzero if cols.size == nonzero.shape[1] else nonzero.take(cols, axis=1)


def _levels(groups: NDArray[np.integer], bits: Bits, count: int) -> list[int]:
    cells = np.bincount(groups, minlength=count)
    return tensor_statistics.levels(cells, np.bincount(groups[bits], minlength=count))


@dataclass
class DenseTensor:
    """A tensor whose nonzeros are known, except signs that come with the deferred bits."""

    places: Ints  # flat indices of the nonzeros
    sizes: Ints
    minus: Bits
    raw: Ints  # which of the nonzeros have deferred signs

    def values(self, raw_signs: Bits) -> NDArray[np.int32]:
        """The nonzeros."""
        self.minus[self.raw] = raw_signs
        values = self.sizes * (1 - 2 * self.minus.view(np.int8))
        if values.size and (values.max() > 0x7FFFFFFF or values.min() < -0x80000000):
            raise FrameError("a symbol is beyond 32 bits: the bytes are corrupt")
        return values.astype(np.int32)


class DenseCoder:
    """Codes the dense tensors of one frame; the tables' statistics are shared among them."""

    def __init__(self, coder: SymbolCoder, lanes: Lanes) -> None:
        self._coder = coder
        self._lanes = lanes
        self._counts = fresh(_TAIL + 34)
        self._flags = fresh(UNARY + 1)

    def code(self, rows: int, cols: int, known: NDArray[np.int32] | None) -> DenseTensor:
        """Code a (rows, cols) tensor; `known` is its flat content, None when decoding."""
        seen = None if known is None else tensor_statistics.survey(known, rows, cols)
        row_class = self._classes(rows, seen.row_class if seen else None)
        col_class = self._classes(cols, seen.col_class if seen else None)
        sign_class = self._classes(
            int(np.count_nonzero(row_class)), seen.sign_class if seen else None
        )
        levels = self._pair_levels(row_class, col_class, seen.ones if seen else None)

        live_rows, live_cols = row_class.nonzero()[0], col_class.nonzero()[0]
        by_col = levels.reshape(16, 16)[:, col_class[live_cols]]
        # Whole rows of a small table are copied, which is faster than gathering cell by cell.
        chances = _CHANCES[by_col][row_class[live_rows]].ravel()
        cells = None if seen is None else _live(seen.nonzero, live_rows, live_cols).ravel()
        live_places = self._lanes.code(chances, cells).nonzero()[0]
        starts = np.arange(live_rows.size + 1) * live_cols.size
        by_row = np.diff(live_places.searchsorted(starts))
        column = live_places - starts[:-1].repeat(by_row)
        places = (live_rows * cols).repeat(by_row)
        places += live_cols.take(column)
        values = None if known is None else known.take(places)

        minus, raw = self._signs(sign_class.repeat(by_row), None if values is None else values < 0)
        column += (row_class[live_rows].astype(np.intp) * live_cols.size).repeat(by_row)
        bucket: NDArray[np.uint8] = (by_col // np.uint8(4)).ravel().take(column)
        # As uint32, the size of the smallest int32 is right too.
        sizes = self._sizes(bucket, None if values is None else np.abs(values).view(np.uint32))
        return DenseTensor(places, sizes, minus, raw)

    def _level(self, base: int, predicted: int, wanted: int | None) -> int:
        level = predicted + code_signed(
            self._coder, self._counts, base, 0 if wanted is None else wanted - predicted
        )
        if not 0 <= level < len(LEVELS):
            raise FrameError(f"there is no chance level {level}: the bytes are corrupt")
        return level

    def _classes(self, count: int, known: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
        """Code `count` values of 4 bits, the first bit first, each given the bits before it."""
        prefix = np.zeros(count, np.intp)
        for shift in (3, 2, 1, 0):
            bits = None if known is None else (known >> shift & 1).astype(np.bool_)
            nodes = 1 << (3 - shift)
            wanted = None if bits is None else _levels(prefix, bits, nodes)
            chosen = [
                self._level(_TREE, EVEN, None if wanted is None else wanted[node])
                for node in range(nodes)
            ]
            coded = self._lanes.code(_CHANCES[chosen][prefix], bits)
            prefix = prefix << 1 | coded
        return prefix.astype(np.uint8)

    def _pair_levels(
        self, row_class: NDArray[np.uint8], col_class: NDArray[np.uint8], ones: Ints | None
    ) -> NDArray[np.uint8]:
        """Code the level of each pair of classes that occurs, predicted from its neighbours."""
        row_sizes = np.bincount(row_class, minlength=16)
        col_sizes = np.bincount(col_class, minlength=16)
        row_used = [c for c in range(1, 16) if row_sizes[c]]
        col_used = [c for c in range(1, 16) if col_sizes[c]]
        levels = np.zeros(256, np.uint8)
        above: list[int] = []
        for row in row_used:
            line: list[int] = []
            for at, col in enumerate(col_used):
                if above and line:
                    predicted = min(max(line[-1] + above[at] - above[at - 1], 0), 63)
                else:
                    predicted = line[-1] if line else above[0] if above else EVEN
                wanted = None
                if ones is not None:
                    cells = int(row_sizes[row] * col_sizes[col])
                    wanted = tensor_statistics.level(int(ones[row << 4 | col]), cells, predicted)
                line.append(self._level(_PAIR, predicted, wanted))
                levels[row << 4 | col] = line[-1]
            above = line
        return levels

    def _signs(self, classes: NDArray[np.uint8], minus: Bits | None) -> tuple[Bits, Ints]:
        skewed = classes != RAW_SIGN
        raw = (~skewed).nonzero()[0]
        if classes.size and int(classes.max()) >= len(SIGN_LEVELS):
            raise FrameError(f"there is no sign class {classes.max()}: the bytes are corrupt")
        result = np.zeros(classes.size, np.bool_)
        result[skewed] = self._lanes.code(
            _SIGN_CHANCES.take(classes[skewed]), None if minus is None else minus[skewed]
        )
        self._lanes.defer(raw.size, None if minus is None else minus.take(raw))
        return result, raw

    def _sizes(self, bucket: NDArray[np.uint8], known: NDArray[np.uint32] | None) -> Ints:
        """Sizes from 1 up: 14 decisions "is it larger", then exponential Golomb."""
        sizes = np.ones(bucket.size, np.int64)
        alive = np.arange(bucket.size)
        for size in range(1, UNARY + 1):
            larger = None if known is None else known > size
            if not self._coder.bit(self._flags, size, int(larger is not None and larger.any())):
                return sizes
            cells = np.bincount(bucket, minlength=16)
            wanted = None
            if larger is not None:
                wanted = tensor_statistics.levels(cells, np.bincount(bucket[larger], minlength=16))
            levels = np.zeros(16, np.intp)
            last = EVEN
            for index in cells.nonzero()[0].tolist():
                last = self._level(_MORE, last, None if wanted is None else wanted[index])
                levels[index] = last
            stay = self._lanes.code(_CHANCES.take(levels).take(bucket), larger).nonzero()[0]
            alive, bucket = alive.take(stay), bucket.take(stay)
            known = None if known is None else known.take(stay)
            sizes[alive] = size + 1
        sizes[alive] += self._excess(alive.size, None if known is None else known - UNARY) - 1
        return sizes

    def _excess(self, count: int, known: NDArray[np.uint32] | None) -> Ints:
        """`count` integers >= 1: exponents in unary by passes, then the bits below the first."""
        exponent = np.zeros(count, np.int64)
        alive = np.arange(count)
        goal = None if known is None else tensor_statistics.exponents(known)
        while alive.size:
            more = None if goal is None else goal[alive] > exponent[alive]
            wanted = None if more is None else _levels(np.zeros_like(alive), more, 1)[0]
            level = self._level(_TAIL, EVEN, wanted)
            alive = alive[self._lanes.code(np.full(alive.size, LEVELS[level], np.uint16), more)]
            exponent[alive] += 1
            if alive.size and exponent[alive[0]] > 31:
                raise FrameError("a symbol is beyond 32 bits: the bytes are corrupt")
        value = np.ones(count, np.int64)
        for shift in range(int(exponent.max(initial=0)) - 1, -1, -1):
            part = (exponent > shift).nonzero()[0]
            bits = None if known is None else (known[part] >> shift & 1).astype(np.bool_)
            value[part] = value[part] << 1 | self._lanes.code(
                np.full(part.size, 2048, np.uint16), bits
            )
        return value
