"""``rans``: small integers of one scale, by a table that a byte names.

For tensors of which most entries are not zero, such as the coordinates of a subspace. A symbol is
coded by its chance alone: no contexts, nothing adapts, one multiplication and one division a symbol
(rANS: Duda 2013). The chances fall off from zero as those of a Laplace or of a normal
distribution; the encoder takes the table under which its symbols are shortest. All of it is
integers, so that every machine has the same tables.

Layout: one byte, the table: bit 0 its form, bits 1 to 7 its width. Then the coder's state, 3 B, and
its bytes, in the order in which a decoder reads them. Then, for each symbol that is beyond the
table, its zigzag varint. An update of zeros is no bytes at all.

Table of byte ``t``, in 16-bit fixed point: with ``i = t >> 1``, ``d = (8 + i % 8) << 12 >> i // 8``
(at least 1), ``r = 65536 - d``: the weight of cell 0 is ``2**24``, that of cells ``±j``, up to 255,
the one before times ``r >> 16``, and after each step ``r`` is multiplied by
``(65536 - d)**2 >> 32`` if bit 0 is set.

A symbol ``k`` has the weight of cell ``k``. If the values were rounded with a dither that both ends
draw, cells are eighths of a step, and a symbol has the sum of the eight cells from ``8 k - b`` on,
where ``b`` is the entry's dither in eighths of a step, from 0 to 7: so what the dither says of a
symbol is not sent again. Symbols that come to less than a quarter of ``2**-14`` of the sum are left
out, and all beyond them. A frequency, of ``2**14`` in all, is 1 and the share of what is then left;
what rounding leaves over goes to the first symbol that has most. Symbols stand in rising order, the
one that says "beyond" last.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from frugalfl.blocks import Shape
from frugalfl.calls import Call, arity
from frugalfl.codec.buffer import Reader, varint
from frugalfl.codec.links import Coder, Draws, Tensor
from frugalfl.codec.shapes import entries, split
from frugalfl.errors import CodecError, FrameError

_BITS = 14
_WHOLE = 1 << _BITS
#: The state lies between this and 256 times this; a message begins and ends with it.
_LEAST = 1 << 15
_STATE_BYTES = 3
_ONE = 1 << 16
_MOST = 255
_TABLES = 256
#: Widths that are tried to either side of the likeliest.
_TRIED = 4
#: A dithered symbol's distribution is known to an eighth of a step.
_CELL_BITS = 3
_CELLS = 1 << _CELL_BITS
#: What a symbol beyond the table costs about, besides its escape (bits).
_BEYOND_BITS = 16
_LARGEST = (1 << 32) - 1
#: Of a logarithm, behind the point.
_LOG_BITS = 28


class _Table(NamedTuple):
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
def _table(number: int, dither: int | None) -> _Table:
    """Make the table of a byte, for symbols with a dither of so many eighths, or with none."""
    weights = _weights(number)
    summed = [*weights[:0:-1], *weights]
    if dither is not None:
        edge = len(weights) // _CELLS + 1
        padded = [0] * (_CELLS * edge + _CELLS) + summed + [0] * (_CELLS * edge + _CELLS)
        middle = len(padded) // 2 - dither
        summed = [
            sum(padded[middle + _CELLS * k : middle + _CELLS * (k + 1)])
            for k in range(-edge, edge + 1)
        ]
    middle, total = len(summed) // 2, sum(summed)
    reach = max(abs(k - middle) for k, weight in enumerate(summed) if weight * 4 * _WHOLE >= total)
    kept = summed[middle - reach : middle + reach + 1]
    total, left = sum(kept), _WHOLE - (2 * reach + 2)
    frequencies = [*(1 + weight * left // total for weight in kept), 1]
    frequencies[frequencies.index(max(frequencies))] += _WHOLE - sum(frequencies)
    return _Table(reach, frequencies, list(accumulate(frequencies, initial=0))[:-1])


class Rans(Coder):
    """Codes int32 symbols, most of them not zero."""

    def encode(self, tensors: list[Tensor], draws: Draws) -> bytes:
        """Return table, state, bytes, and what is beyond the table; none for zeros.

        Raises:
            CodecError: The tensors are not symbols.
        """
        symbols = _symbols(tensors)
        if not symbols.any():
            return b""
        dithers = _dithers([tensor.shape for tensor in tensors], draws)
        number = _best(symbols, dithers)
        places, tables, beyond = _places(symbols, dithers, number)
        state, written = _LEAST, bytearray()
        for place, table in zip(reversed(places), reversed(tables), strict=True):
            frequency = table.frequencies[place]
            while state >= frequency << (23 - _BITS):
                written.append(state & 0xFF)
                state >>= 8
            whole, rest = divmod(state, frequency)
            state = (whole << _BITS) + rest + table.starts[place]
        head = bytes([number]) + state.to_bytes(_STATE_BYTES, "little")
        return head + bytes(reversed(written)) + b"".join(map(varint, beyond))

    def decode(self, data: memoryview, shapes: Sequence[Shape], draws: Draws) -> list[Tensor]:
        """Return int32 symbols.

        Raises:
            FrameError: The bytes are not what :meth:`encode` could have written.
        """
        count = entries(shapes)
        if not len(data):
            return split(np.zeros(count, np.int32), shapes)
        reader = Reader(data)
        number = reader.byte()
        dithers = _dithers(shapes, draws)
        tables = _tables(number, dithers, count)
        places = _read_places(reader, tables)
        reaches = np.array([table.reach for table in tables], np.int64)
        symbols = np.array(places, np.int64) - reaches
        for place in np.flatnonzero(symbols > reaches):
            zigzag = reader.varint(_LARGEST)
            symbols[place] = (zigzag >> 1) ^ -(zigzag & 1)
        if len(reader.rest()):
            raise FrameError("the frame has bytes after its last symbol")
        return split(symbols.astype(np.int32), shapes)


def _read_places(reader: Reader, tables: Sequence[_Table]) -> list[int]:
    """Return the place of each symbol in its table.

    Raises:
        FrameError: The bytes end early, or the state does not come back to where it began.
    """
    state = int.from_bytes(reader.bytes(_STATE_BYTES), "little")
    if not _LEAST <= state < _LEAST << 8:
        raise FrameError(f"the frame begins with a state of {state}")
    places = []
    for table in tables:
        slot = state & (_WHOLE - 1)
        place = bisect_right(table.starts, slot) - 1
        state = table.frequencies[place] * (state >> _BITS) + slot - table.starts[place]
        while state < _LEAST:
            state = state << 8 | reader.byte()
        places.append(place)
    if state != _LEAST:
        raise FrameError("the frame's symbols do not end as they must")
    return places


def _symbols(tensors: list[Tensor]) -> npt.NDArray[np.int64]:
    if any(not np.issubdtype(tensor.dtype, np.integer) for tensor in tensors):
        raise CodecError("rans codes symbols; put dithered, dyadic, stochastic or nearest before")
    return np.concatenate([np.zeros(0, np.int64), *(tensor.ravel() for tensor in tensors)])


def _dithers(shapes: Sequence[Shape], draws: Draws) -> npt.NDArray[np.int64] | None:
    """Return the dither of each entry in eighths of a step; ``None``: there was none."""
    words = draws.dithers(shapes)
    if words is None:
        return None
    flat = np.concatenate([np.zeros(0, np.uint32), *(word.ravel() for word in words)])
    return (flat >> np.uint32(32 - _CELL_BITS)).astype(np.int64)


def _tables(number: int, dithers: npt.NDArray[np.int64] | None, count: int) -> list[_Table]:
    """Return each symbol's table."""
    if dithers is None:
        return [_table(number, None)] * count
    own = [_table(number, dither) for dither in range(_CELLS)]
    return [own[dither] for dither in dithers.tolist()]


def _best(symbols: npt.NDArray[np.int64], dithers: npt.NDArray[np.int64] | None) -> int:
    """Return a table under which symbols are short: the best of those of about their width.

    Lengths are integers, so that all machines choose alike.
    """
    cells = 1 if dithers is None else _CELLS
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
    return [(dither, Counter(symbols[dithers == dither].tolist())) for dither in range(_CELLS)]


def _cost(number: int, counts: Iterable[tuple[int | None, Counter[int]]]) -> int:
    """Return the length of symbols under a table (bits, 28-bit fixed point)."""
    return sum(
        count * _bits(_table(number, dither), symbol)
        for dither, own in counts
        for symbol, count in own.items()
    )


def _bits(table: _Table, symbol: int) -> int:
    """Return the length of a symbol (bits, 28-bit fixed point)."""
    if abs(symbol) > table.reach:
        return (_BITS + _BEYOND_BITS) << _LOG_BITS
    return (_BITS << _LOG_BITS) - _log2(table.frequencies[symbol + table.reach])


def _places(
    symbols: npt.NDArray[np.int64], dithers: npt.NDArray[np.int64] | None, number: int
) -> tuple[list[int], list[_Table], list[int]]:
    """Return each symbol's place in its table, the tables, and zigzag numbers of what is beyond."""
    tables = _tables(number, dithers, len(symbols))
    reaches = np.array([table.reach for table in tables], np.int64)
    outside = np.abs(symbols) > reaches
    beyond = symbols[outside]
    places = np.where(outside, 2 * reaches + 1, symbols + reaches)
    return places.tolist(), tables, ((beyond << 1) ^ (beyond >> 63)).tolist()


def build(call: Call) -> Rans:
    """Read ``rans``."""
    arity(call, 0)
    return Rans()
