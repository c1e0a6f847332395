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
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from frugalfl.blocks import Shape
from frugalfl.calls import Call, arity
from frugalfl.codec.buffer import Reader, varint
from frugalfl.codec.links import Coder, Draws, Tensor
from frugalfl.codec.rans_tables import BITS, CELL_BITS, CELLS, WHOLE, Table, best, table
from frugalfl.codec.shapes import entries, split
from frugalfl.errors import CodecError, FrameError
from frugalfl.native import core
from frugalfl.native import rans as native

#: The state lies between this and 256 times this; a message begins and ends with it.
_LEAST = 1 << 15
_STATE_BYTES = 3
_LARGEST = (1 << 32) - 1
_INT32 = np.dtype(np.int32)
#: A refused payload of more symbols is not looked at again, to say more exactly why: in Python that
#: takes fifty times what the core took.
_EXPLAINED = 4096


class Rans(Coder):
    """Codes int32 symbols, most of them not zero."""

    def encode(self, tensors: list[Tensor], draws: Draws) -> bytes:
        """Return table, state, bytes, and what is beyond the table; none for zeros.

        Raises:
            CodecError: The tensors are not symbols.
        """
        if core() is not None and all(tensor.dtype == _INT32 for tensor in tensors):
            return native.encode(tensors, draws.seed if draws.dithered else None)
        if any(not np.issubdtype(tensor.dtype, np.integer) for tensor in tensors):
            raise CodecError(
                "rans codes symbols; put dithered, dyadic, stochastic or nearest before"
            )
        return encode_in_python(tensors, draws)

    def decode(self, data: memoryview, shapes: Sequence[Shape], draws: Draws) -> list[Tensor]:
        """Return int32 symbols.

        Raises:
            FrameError: The bytes are not what :meth:`encode` could have written.
        """
        count = entries(shapes)
        if core() is not None:
            symbols = native.decode(bytes(data), count, draws.seed if draws.dithered else None)
            if symbols is not None:
                return split(symbols, shapes)
            if count > _EXPLAINED:
                raise FrameError("the frame's symbols are none that an encoder writes")
        # Without the core; or the core refuses the bytes, and this says why.
        return split(decode_in_python(data, shapes, draws), shapes)


def encode_in_python(tensors: list[Tensor], draws: Draws) -> bytes:
    """Do what :meth:`Rans.encode` does, readably."""
    symbols = np.concatenate([np.zeros(0, np.int64), *(tensor.ravel() for tensor in tensors)])
    if not symbols.any():
        return b""
    dithers = _dithers([tensor.shape for tensor in tensors], draws)
    number = best(symbols, dithers)
    places, tables, beyond = _places(symbols, dithers, number)
    state, written = _LEAST, bytearray()
    for place, own in zip(reversed(places), reversed(tables), strict=True):
        frequency = own.frequencies[place]
        while state >= frequency << (23 - BITS):
            written.append(state & 0xFF)
            state >>= 8
        whole, rest = divmod(state, frequency)
        state = (whole << BITS) + rest + own.starts[place]
    head = bytes([number]) + state.to_bytes(_STATE_BYTES, "little")
    return head + bytes(reversed(written)) + b"".join(map(varint, beyond))


def decode_in_python(
    data: memoryview, shapes: Sequence[Shape], draws: Draws
) -> npt.NDArray[np.int32]:
    """Do what :meth:`Rans.decode` does, readably, but for the tensors' shapes.

    Raises:
        FrameError: The bytes are not what an encoder could have written.
    """
    count = entries(shapes)
    if not len(data):
        return np.zeros(count, np.int32)
    reader = Reader(data)
    number = reader.byte()
    tables = _tables(number, _dithers(shapes, draws), count)
    places = _read_places(reader, tables)
    reaches = np.array([own.reach for own in tables], np.int64)
    symbols = np.array(places, np.int64) - reaches
    for place in np.flatnonzero(symbols > reaches):
        zigzag = reader.varint(_LARGEST)
        symbols[place] = (zigzag >> 1) ^ -(zigzag & 1)
    if len(reader.rest()):
        raise FrameError("the frame has bytes after its last symbol")
    return symbols.astype(np.int32)


def _read_places(reader: Reader, tables: Sequence[Table]) -> list[int]:
    """Return the place of each symbol in its own.

    Raises:
        FrameError: The bytes end early, or the state does not come back to where it began.
    """
    state = int.from_bytes(reader.bytes(_STATE_BYTES), "little")
    if not _LEAST <= state < _LEAST << 8:
        raise FrameError(f"the frame begins with a state of {state}")
    places = []
    for own in tables:
        slot = state & (WHOLE - 1)
        place = bisect_right(own.starts, slot) - 1
        state = own.frequencies[place] * (state >> BITS) + slot - own.starts[place]
        while state < _LEAST:
            state = state << 8 | reader.byte()
        places.append(place)
    if state != _LEAST:
        raise FrameError("the frame's symbols do not end as they must")
    return places


def _dithers(shapes: Sequence[Shape], draws: Draws) -> npt.NDArray[np.int64] | None:
    """Return the dither of each entry in eighths of a step; ``None``: there was none."""
    words = draws.dithers(shapes)
    if words is None:
        return None
    flat = np.concatenate([np.zeros(0, np.uint32), *(word.ravel() for word in words)])
    return (flat >> np.uint32(32 - CELL_BITS)).astype(np.int64)


def _tables(number: int, dithers: npt.NDArray[np.int64] | None, count: int) -> list[Table]:
    """Return each symbol's table."""
    if dithers is None:
        return [table(number, None)] * count
    own = [table(number, dither) for dither in range(CELLS)]
    return [own[dither] for dither in dithers.tolist()]


def _places(
    symbols: npt.NDArray[np.int64], dithers: npt.NDArray[np.int64] | None, number: int
) -> tuple[list[int], list[Table], list[int]]:
    """Return each symbol's place in its table, the tables, and zigzag numbers of what is beyond."""
    tables = _tables(number, dithers, len(symbols))
    reaches = np.array([own.reach for own in tables], np.int64)
    outside = np.abs(symbols) > reaches
    beyond = symbols[outside]
    places = np.where(outside, 2 * reaches + 1, symbols + reaches)
    return places.tolist(), tables, ((beyond << 1) ^ (beyond >> 63)).tolist()


def build(call: Call) -> Rans:
    """Read ``rans``."""
    arity(call, 0)
    return Rans()
