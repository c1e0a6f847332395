"""The tables of ``rans``, and which of them symbols are shortest under; all of it integers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

#: Frequencies are of ``2**14`` in all.
BITS = 14
WHOLE = 1 << BITS
#: A dithered symbol's distribution is known to an eighth of a step.
CELL_BITS = 3
CELLS = 1 << CELL_BITS
_ONE = 1 << 16
_MOST = 255
_TABLES = 256
#: Widths that are tried to either side of the likeliest.
_TRIED = 4
#: What a symbol beyond the table costs about, besides its escape (bits).
_BEYOND_BITS = 16
#: Of a logarithm, behind the point.
_LOG_BITS = 28


class Table(NamedTuple):
    """A distribution: symbols from ``-reach`` to ``reach``, and at the end "beyond".

    Attributes:
        reach: Largest magnitude with a frequency of its own.
        frequencies: Of each symbol, of ``2**14`` in all.
        starts: Sums of the frequencies before each.
    """

    reach: int
    frequencies: list[int]
    starts: list[int]


def _narrow(place: int) -> int:
    """Return how much less likely a cell is than the one before it (16-bit fixed point)."""
    return max((8 + place % 8) << 12 >> place // 8, 1)


def _weights(number: int) -> list[int]:
    """Return the weights of cell 0 and of those to one side of it."""
    ratio = _ONE - _narrow(number >> 1)
    falling = ratio * ratio >> 16 if number & 1 else _ONE
    weights = [1 << 24]
    while len(weights) <= _MOST and weights[-1]:
        weights.append(weights[-1] * ratio >> 16)
        ratio = ratio * falling >> 16
    return weights


@lru_cache(maxsize=512)
def table(number: int, dither: int | None) -> Table:
    """Make the table of a byte, for symbols with a dither of so many eighths, or with none."""
    weights = _weights(number)
    summed = [*weights[:0:-1], *weights]
    if dither is not None:
        edge = len(weights) // CELLS + 1
        padded = [0] * (CELLS * edge + CELLS) + summed + [0] * (CELLS * edge + CELLS)
        middle = len(padded) // 2 - dither
        summed = [
            sum(padded[middle + CELLS * k : middle + CELLS * (k + 1)])
            for k in range(-edge, edge + 1)
        ]
    middle, total = len(summed) // 2, sum(summed)
    reach = max(abs(k - middle) for k, weight in enumerate(summed) if weight * 4 * WHOLE >= total)
    kept = summed[middle - reach : middle + reach + 1]
    total, left = sum(kept), WHOLE - (2 * reach + 2)
    frequencies = [*(1 + weight * left // total for weight in kept), 1]
    frequencies[frequencies.index(max(frequencies))] += WHOLE - sum(frequencies)
    return Table(reach, frequencies, list(accumulate(frequencies, initial=0))[:-1])


def best(symbols: npt.NDArray[np.int64], dithers: npt.NDArray[np.int64] | None) -> int:
    """Return a table under which symbols are short: the best of those of about their width.

    Lengths are integers, so that all machines choose alike.
    """
    cells = 1 if dithers is None else CELLS
    sizes = [cells * abs(symbol) for symbol in symbols.tolist()]
    # A Laplace's cells fall off by one in so many as their mean, a normal one's by half its power.
    count, total, power = len(sizes), sum(sizes), sum(size * size for size in sizes)
    laplace = _log2(2 * count) - _log2(2 * total + count)
    normal = _log2(5 * count) - _log2(10 * power + count)
    tried = [
        place << 1 | form
        for form, wanted in enumerate((laplace, normal))
        for place in _places_near(wanted + (16 << _LOG_BITS))
    ]
    counts = _counts(symbols, dithers)
    return min(tried, key=lambda number: _cost(number, counts))


@lru_cache(maxsize=1 << 15)
def _log2(value: int) -> int:
    """Return the logarithm of the 32 highest bits of an integer, in 28-bit fixed point.

    By squaring, bit by bit, as in every textbook on fixed point.
    """
    whole = value.bit_length() - 1
    rest = value << 31 >> whole
    log = whole
    for _ in range(_LOG_BITS):
        rest = rest * rest >> 31
        log = log << 1 | rest >> 32
        rest >>= rest >> 32
    return log


def _places_near(wanted: int) -> range:
    """Return the places of widths about one of which the logarithm is wanted."""
    nearest = min(range(_TABLES >> 1), key=lambda place: abs(_log2(_narrow(place)) - wanted))
    return range(max(nearest - _TRIED, 0), min(nearest + _TRIED + 1, _TABLES >> 1))


def _counts(
    symbols: npt.NDArray[np.int64], dithers: npt.NDArray[np.int64] | None
) -> list[tuple[int | None, Counter[int]]]:
    """Return how often each symbol occurs, by dither."""
    if dithers is None:
        return [(None, Counter(symbols.tolist()))]
    return [(dither, Counter(symbols[dithers == dither].tolist())) for dither in range(CELLS)]


def _cost(number: int, counts: Iterable[tuple[int | None, Counter[int]]]) -> int:
    """Return the length of symbols under a table (bits, 28-bit fixed point)."""
    return sum(
        count * _bits(table(number, dither), symbol)
        for dither, own in counts
        for symbol, count in own.items()
    )


def _bits(own: Table, symbol: int) -> int:
    """Return the length of a symbol (bits, 28-bit fixed point)."""
    if abs(symbol) > own.reach:
        return (BITS + _BEYOND_BITS) << _LOG_BITS
    return (BITS << _LOG_BITS) - _log2(own.frequencies[symbol + own.reach])
