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
(at least 1), ``r = 65536 - d``: the weight of 0 is ``2**24``, that of ``±k`` the one before times
``r >> 16``, and after each step ``r`` is multiplied by ``(65536 - d)**2 >> 32`` if bit 0 is set.
Weights that come to less than a quarter of ``2**-14`` of their sum are left out, and all beyond
them. A symbol's frequency, of 2**14 in all, is 1 and its share of what is then left; what rounding
leaves over goes to 0. Symbols stand in rising order, the one that says "beyond" last.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
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
#: What a symbol beyond the table costs about, besides its escape (bits).
_BEYOND_BITS = 16
_LARGEST = (1 << 32) - 1


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


@lru_cache(maxsize=_TABLES)
def _table(number: int) -> _Table:
    place = number >> 1
    narrow = max((8 + place % 8) << 12 >> place // 8, 1)
    ratio = _ONE - narrow
    falling = ratio * ratio >> 16 if number & 1 else _ONE
    weights = [1 << 24]
    while len(weights) <= _MOST and weights[-1]:
        weights.append(weights[-1] * ratio >> 16)
        ratio = ratio * falling >> 16
    total = weights[0] + 2 * sum(weights[1:])
    reach = max(k for k, weight in enumerate(weights) if weight * 4 * _WHOLE >= total)
    kept = weights[: reach + 1]
    total = kept[0] + 2 * sum(kept[1:])
    left = _WHOLE - (2 * reach + 2)
    half = [1 + weight * left // total for weight in kept]
    frequencies = [*half[:0:-1], half[0], *half[1:], 1]
    frequencies[reach] += _WHOLE - sum(frequencies)
    return _Table(reach, frequencies, list(accumulate(frequencies, initial=0))[:-1])


@lru_cache(maxsize=1)
def _costs() -> npt.NDArray[np.float64]:
    """Return what each magnitude up to 255, and any beyond, costs under each table (bits)."""
    costs = np.zeros((_TABLES, _MOST + 2))
    for number in range(_TABLES):
        table = _table(number)
        own = table.frequencies[table.reach : -1]
        costs[number] = _BITS + _BEYOND_BITS
        costs[number, : len(own)] = _BITS - np.log2(own)
    return costs


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
        number = _best(symbols)
        table = _table(number)
        places, beyond = _places(symbols, table)
        state, written = _LEAST, bytearray()
        for place in reversed(places):
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
        table = _table(reader.byte())
        places = _read_places(reader, table, count)
        symbols = np.array(places, np.int64) - table.reach
        for place in np.flatnonzero(symbols > table.reach):
            zigzag = reader.varint(_LARGEST)
            symbols[place] = (zigzag >> 1) ^ -(zigzag & 1)
        if len(reader.rest()):
            raise FrameError("the frame has bytes after its last symbol")
        return split(symbols.astype(np.int32), shapes)


def _read_places(reader: Reader, table: _Table, count: int) -> list[int]:
    """Return the place of each symbol in its table.

    Raises:
        FrameError: The bytes end early, or the state does not come back to where it began.
    """
    state = int.from_bytes(reader.bytes(_STATE_BYTES), "little")
    if not _LEAST <= state < _LEAST << 8:
        raise FrameError(f"the frame begins with a state of {state}")
    places = []
    for _ in range(count):
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


def _best(symbols: npt.NDArray[np.int64]) -> int:
    """Return the table under which symbols are shortest."""
    counts = np.bincount(np.minimum(np.abs(symbols), _MOST + 1), minlength=_MOST + 2)
    return int((_costs() @ counts).argmin())


def _places(symbols: npt.NDArray[np.int64], table: _Table) -> tuple[list[int], list[int]]:
    """Return each symbol's place in a table, and the zigzag numbers of those beyond it."""
    outside = np.abs(symbols) > table.reach
    beyond = symbols[outside]
    places = np.where(outside, 2 * table.reach + 1, symbols + table.reach)
    return places.tolist(), ((beyond << 1) ^ (beyond >> 63)).tolist()


def build(call: Call) -> Rans:
    """Read ``rans``."""
    arity(call, 0)
    return Rans()
