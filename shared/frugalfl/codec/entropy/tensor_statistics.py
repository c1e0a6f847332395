"""What the dense encoder reads off a tensor before coding it.

Floats are free here: no decoder runs this.
"""

from __future__ import annotations

from bisect import bisect_left
from math import log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .chance_tables import LEVELS, SIGN_LEVELS

Ints = NDArray[np.int64]
# Lists: levels are chosen one by one, and a list gives up a number faster than an array.
_P = np.array(LEVELS) / 4096
_ONE_COST = (-np.log2(_P)).tolist()
_ZERO_COST = (-np.log2(1 - _P)).tolist()
_LOGITS = np.log(_P / (1 - _P))
_LOGIT_EDGES = ((_LOGITS[1:] + _LOGITS[:-1]) / 2).tolist()
_SIGN_P = np.array(SIGN_LEVELS) / 4096
_SIGN_LOGITS = np.log(_SIGN_P / (1 - _SIGN_P))
_SIGN_EDGES = (_SIGN_LOGITS[1:] + _SIGN_LOGITS[:-1]) / 2
_MIN_CLASS_WIDTH = 0.2
_CORRECTION_BITS = 3.0


class Survey(NamedTuple):
    """Classes and counts of a tensor."""

    nonzero: NDArray[np.bool_]  # (rows, cols)
    row_class: NDArray[np.uint8]
    col_class: NDArray[np.uint8]
    sign_class: NDArray[np.uint8]  # of the live rows
    ones: Ints  # nonzeros by row class << 4 | column class


def survey(flat: NDArray[np.int32], rows: int, cols: int) -> Survey:
    """Sort rows and columns into classes by their number of nonzeros."""
    nonzero = flat != 0
    places = nonzero.nonzero()[0]
    starts = np.arange(rows + 1) * cols
    by_row = np.diff(places.searchsorted(starts))
    column = places - starts[:-1].repeat(by_row)
    by_col = np.bincount(column, minlength=cols)
    row_class, col_class = pair_classes(by_row, by_col)
    live = by_row.nonzero()[0]
    minus = np.add.reduceat(flat.take(places) < 0, (by_row.cumsum() - by_row)[live], dtype=np.intp)
    sign_class = sign_classes(minus, by_row[live])
    pair = (row_class.astype(np.intp) << 4).repeat(by_row)
    pair |= col_class.take(column)
    ones = np.bincount(pair, minlength=256)
    return Survey(nonzero.reshape(rows, cols), row_class, col_class, sign_class, ones)


def pair_classes(by_row: Ints, by_col: Ints) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The classes of rows and of columns with so many nonzeros each."""
    rows, cols = int(np.count_nonzero(by_row)), int(np.count_nonzero(by_col))
    return _line_classes(by_row, cols), _line_classes(by_col, rows)


def sign_classes(minus: Ints, nonzeros: Ints) -> NDArray[np.uint8]:
    """The classes of rows by how many of their nonzeros are negative."""
    share = (minus + 1.5) / (nonzeros + 3)
    return np.searchsorted(_SIGN_EDGES, np.log(share / (1 - share))).astype(np.uint8)


def _line_classes(counts: Ints, length: int) -> NDArray[np.uint8]:
    live = counts > 0
    result = np.zeros(counts.size, np.uint8)
    if live.any():
        odds = np.log((counts[live] + 0.5) / (length - counts[live] + 0.5))
        low = odds.min()
        width = max((odds.max() - low) / 14.999, _MIN_CLASS_WIDTH)
        result[live] = 1 + ((odds - low) / width).astype(np.uint8)
    return result


def level(ones: int, cells: int, predicted: int) -> int:
    """The level for `ones` among `cells`; the predicted one unless it costs bits to keep it."""
    share = (ones + 0.3) / (cells + 0.6)
    best = bisect_left(_LOGIT_EDGES, log(share / (1 - share)))
    loss = ones * (_ONE_COST[predicted] - _ONE_COST[best])
    loss += (cells - ones) * (_ZERO_COST[predicted] - _ZERO_COST[best])
    return best if loss > _CORRECTION_BITS else predicted


def levels(cells: Ints, ones: Ints) -> list[int]:
    """The level of each group of decisions; an even chance for empty groups."""
    return [level(one, cell, 40) for one, cell in zip(ones.tolist(), cells.tolist(), strict=True)]


def exponents(values: NDArray[np.integer]) -> Ints:
    """The binary logarithm of integers from 1 to 2**52, rounded down."""
    return np.frexp(values.astype(np.float64))[1].astype(np.int64) - 1
