"""Encodes frames with dense tensors in the native core; classes and levels are chosen here.

They are floats' doing (`tensor_statistics`), the same as for `dense.DenseCoder`: so the bytes are
the same, whatever a machine's logarithm is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from frugalfl.native.dense import Bytes, Counts, Frame, Survey
from frugalfl.native.grid import Shapes, Words

from . import tensor_statistics
from .chance_tables import LEVELS, SIGN_LEVELS
from .dense import EVEN, UNARY
from .lanes import choose_lanes

_LEVEL_COUNT = len(LEVELS)
_HINTED, _LANED = 0x80, 0x40
#: What a decision costs (bits), by its code: the chance's level or sign class, 128 more for a 1.
_ONES = np.array([*LEVELS, *SIGN_LEVELS, 2048]) / 4096
_COSTS = np.zeros(256)
_COSTS[: _ONES.size], _COSTS[128 : 128 + _ONES.size] = -np.log2(1 - _ONES), -np.log2(_ONES)
#: The reference adds the same costs in another order; it cannot be further off than this.
_DOUBT = 1e-9


class _Plan(NamedTuple):
    """What to code a tensor with."""

    survey: Survey
    trees: Bytes
    pairs: Bytes
    more: Bytes
    decisions: int


def encode(
    flats: Sequence[NDArray[np.int32]],
    counts: Sequence[int],
    shapes: Shapes,
    words: int | Words | None,
    dense: Sequence[bool],
    least_log_lanes: int,
) -> bytes | None:
    """Return the frame of tensors with so many nonzeros each.

    Nothing, if only the reference can tell how many lanes it would take.
    """
    plans = [
        _plan(flat, shape, count)
        for flat, shape, count, chosen in zip(flats, shapes, counts, dense, strict=True)
        if chosen
    ]
    scattered = sum(count for count, chosen in zip(counts, dense, strict=True) if not chosen)
    frame = Frame(
        dense, sum(plan.decisions for plan in plans), [plan.survey for plan in plans], scattered
    )
    for plan in plans:
        frame.code(plan.survey, plan.trees, plan.pairs, plan.more)
    if (log_lanes := _log_lanes(*frame.sample())) is None:
        return None
    log_lanes = max(log_lanes, least_log_lanes)
    flags = _LANED | log_lanes | (0 if words is None else _HINTED)
    return bytes([flags]) + frame.finish(flats, shapes, words) + frame.lanes(log_lanes)


def _log_lanes(sample: Counts, raw: int) -> int | None:
    cost = raw + 8 * float(sample @ _COSTS)
    chosen = {choose_lanes(cost * share, raw) for share in (1 - _DOUBT, 1 + _DOUBT)}
    return chosen.pop() if len(chosen) == 1 else None


def _plan(flat: NDArray[np.int32], shape: tuple[int, int], nonzeros: int) -> _Plan:
    survey = Survey(flat, shape, nonzeros)
    by_row = survey.by_row.astype(np.int64)
    row_class, col_class = tensor_statistics.pair_classes(by_row, survey.by_col.astype(np.int64))
    live = by_row.nonzero()[0]
    sign_class = tensor_statistics.sign_classes(survey.minus[live].astype(np.int64), by_row[live])
    ones = survey.classify(row_class, col_class, sign_class)
    rows, cols, signs = (
        np.bincount(classes, minlength=16).tolist()
        for classes in (row_class, col_class, sign_class)
    )
    trees = [level for line in (rows, cols, signs) for level in _tree(line)]
    pairs = _pairs(rows, cols, ones.tolist())
    sizes, exponents, decisions = survey.count_sizes(pairs)
    more = [*_more(sizes), *_tail(exponents.tolist())]
    lines = 4 * (shape[0] + shape[1] + live.size)
    cells = live.size * int(np.count_nonzero(col_class))
    return _Plan(
        survey, np.array(trees, np.uint8), pairs, np.array(more, np.uint8),
        lines + cells + nonzeros + decisions,
    )  # fmt: skip


def _tree(classes: Sequence[int]) -> list[int]:
    """The levels of 4 decisions, the first bit first, given how many values of each class."""
    levels = []
    for width in (16, 8, 4, 2):
        for start in range(0, 16, width):
            node = classes[start : start + width]
            levels.append(_even_or(sum(node[width // 2 :]), sum(node)))
    return levels


def _even_or(ones: int, cells: int) -> int:
    """The level for `ones` among `cells`; most groups are empty, which needs no logarithm."""
    return tensor_statistics.level(ones, cells, EVEN) if cells else EVEN


def _pairs(rows: Sequence[int], cols: Sequence[int], ones: Sequence[int]) -> Bytes:
    """The level of each pair of classes, predicted as the core does."""
    levels = np.zeros(256, np.uint8)
    above: list[int] = []
    used = [col for col in range(1, 16) if cols[col]]
    for row in range(1, 16):
        line: list[int] = []
        for at, col in enumerate(used if rows[row] else ()):
            if above and line:
                predicted = min(max(line[-1] + above[at] - above[at - 1], 0), _LEVEL_COUNT - 1)
            else:
                predicted = line[-1] if line else above[0] if above else EVEN
            pair = row << 4 | col
            line.append(tensor_statistics.level(ones[pair], rows[row] * cols[col], predicted))
            levels[pair] = line[-1]
        above = line or above
    return levels


def _more(sizes: Counts) -> list[int]:
    """For each size up to 14 and each bucket, the level of "is it larger"."""
    # How many are of a size or above it; 16 buckets.
    least = sizes[:, ::-1].cumsum(1)[:, ::-1].tolist()
    return [
        _even_or(bucket[size + 1], bucket[size]) for size in range(1, UNARY + 1) for bucket in least
    ]


def _tail(exponents: Sequence[int]) -> list[int]:
    """For each exponent, the level of "is it larger"."""
    left = sum(exponents)
    levels = []
    for count in exponents:
        levels.append(_even_or(left - count, left))
        left -= count
    return levels
