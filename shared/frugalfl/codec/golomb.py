"""``golomb``: sparse signs as Golomb-Rice coded gaps and one bit for each sign.

Gaps between nonzero entries of a sparse update are close to geometric, for which Golomb codes are
the best prefix codes (Golomb 1966; Rice 1979; used for updates by Sattler et al. 2019).

Layout: varint count of nonzeros; then, if any, one byte with the Rice parameter b; then a bit
stream, first bit in the high bit of a byte: all quotients in unary (ones, ended by a zero), all
remainders in b bits, all signs (1 is negative), padded with zeros to whole bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from frugalfl.blocks import Shape
from frugalfl.calls import Call, arity
from frugalfl.codec.buffer import Reader, varint
from frugalfl.codec.links import Coder, Draws, Sparse, Tensor
from frugalfl.codec.shapes import entries, split
from frugalfl.errors import CodecError, FrameError
from frugalfl.native.golomb import ENDED, LARGE, LEFT, MOST_PLACES, Gaps, coder

Bits = npt.NDArray[np.uint8]
_ONE = np.int8(1)
_NO_SIGN = "golomb codes signs only; put sign before it"
_ENDS_INSIDE = "the frame ends inside its gaps"
_NOT_FILLED = "the frame's gaps and signs do not fill its payload"
_BEYOND = "the frame points beyond the last entry of the update"
_ERRORS = {ENDED: _ENDS_INSIDE, LEFT: _NOT_FILLED, LARGE: _BEYOND}


class Golomb(Coder):
    """Codes symbols −1, 0 and 1."""

    def encode(self, tensors: list[Tensor], draws: Draws) -> bytes:
        """Return count, Rice parameter and bit stream.

        Raises:
            CodecError: A symbol other than −1, 0 and 1.
        """
        if (quick := coder()) is not None and all(t.dtype == np.int32 for t in tensors):
            return _encode_quickly(quick, tensors)
        symbols = np.concatenate([tensor.ravel() for tensor in tensors])
        if symbols.size and max(int(symbols.max()), -int(symbols.min())) > 1:
            raise CodecError(_NO_SIGN)
        places = np.flatnonzero(symbols)
        if not places.size:
            return varint(0)
        gaps = np.diff(places, prepend=-1) - 1
        rice = _rice_parameter(gaps)
        bits = np.concatenate([_unary(gaps >> rice), _binary(gaps, rice), symbols[places] < 0])
        return varint(places.size) + bytes([rice]) + np.packbits(bits).tobytes()

    def decode(self, data: memoryview, shapes: Sequence[Shape], draws: Draws) -> list[Tensor]:
        """Return int32 symbols."""
        found = self.decode_sparse(data, shapes, draws)
        symbols = np.zeros(entries(shapes), np.int32)
        symbols[found.places] = found.values
        return split(symbols, shapes)

    def decode_sparse(self, data: memoryview, shapes: Sequence[Shape], draws: Draws) -> Sparse:
        """Return the nonzero symbols, as int8 or float32.

        Raises:
            FrameError: The bytes are not what :meth:`encode` could have written.
        """
        reader, total = Reader(data), entries(shapes)
        count = reader.varint(total)
        if not count:
            if len(reader.rest()):
                raise FrameError("the frame has bytes after its last gap")
            return Sparse(np.zeros(0, np.int64), np.zeros(0, np.int8))
        if total <= MOST_PLACES and (quick := coder()) is not None:
            return _read_quickly(quick, reader, count, total)
        places, plus = _read_gaps(reader, count, total)
        symbols = plus.view(np.int8)
        symbols += symbols
        symbols -= _ONE
        return Sparse(places, symbols)


def _rice_parameter(gaps: npt.NDArray[np.int64]) -> int:
    """Return the number of remainder bits with the shortest code."""
    candidates = range(max(int(gaps.max()), 1).bit_length())
    return min(candidates, key=lambda bits: int((gaps >> bits).sum()) + bits * gaps.size)


def _unary(quotients: npt.NDArray[np.int64]) -> Bits:
    bits = np.ones(int(quotients.sum()) + quotients.size, np.uint8)
    bits[np.cumsum(quotients + 1) - 1] = 0
    return bits


def _binary(gaps: npt.NDArray[np.int64], rice: int) -> Bits:
    shifts = np.arange(rice - 1, -1, -1)
    return ((gaps[:, None] >> shifts) & 1).astype(np.uint8).ravel()


def _read_gaps(reader: Reader, count: int, total: int) -> tuple[npt.NDArray[np.int64], Bits]:
    """Return the places of ``count`` nonzeros among ``total`` entries, and which are positive."""
    rice = _read_rice(reader, total)
    most = (1 << rice) - 1
    # All bits the other way round: then a stop is a one, and a remainder what it lacks of `most`.
    bits = np.unpackbits(~np.frombuffer(reader.rest(), np.uint8))
    # What follows the quotients has a known length: only what comes before it is searched.
    unary = bits[: max(bits.size - count * (rice + 1), 0)]
    stops = unary.view(np.bool_).nonzero()[0][:count]
    if stops.size < count:
        raise FrameError(_ENDS_INSIDE)
    start = int(stops[-1]) + 1
    signs = start + count * rice
    end = signs + count
    if not end <= bits.size < end + 8:
        raise FrameError(_NOT_FILLED)
    # A place is the sum of the gaps so far, of which the stop already is that of the quotients:
    # (stop << rice) + most - sum of (most - remainder). In place, because this is all the work.
    lacking = _numbers(bits[start:signs].reshape(count, rice))
    lacking[0] -= most
    stops <<= rice
    stops -= lacking.cumsum()
    if int(stops[-1]) >= total:  # every gap is positive, so the last place is the largest
        raise FrameError(_BEYOND)
    return stops, bits[signs:end]


def _read_rice(reader: Reader, total: int) -> int:
    rice = reader.byte()
    # A longer remainder than the longest gap is never shorter; and no sum of gaps can overflow.
    if (1 << rice) - 1 > total:
        raise FrameError(f"the frame's Rice parameter is {rice}, too much for {total} entries")
    return rice


def _read_quickly(quick: Gaps, reader: Reader, count: int, total: int) -> Sparse:
    rice = _read_rice(reader, total)
    status, places, symbols = quick.decode(reader.rest(), count, rice, total)
    if status:
        raise FrameError(_ERRORS[status])
    return Sparse(places, symbols)


def _encode_quickly(quick: Gaps, tensors: Sequence[Tensor]) -> bytes:
    found = quick.find(tensors)
    if found is None:
        raise CodecError(_NO_SIGN)
    if not found.places.size:
        return varint(0)
    rice, stream = quick.encode(found.places, found.negative)
    return varint(found.places.size) + bytes([rice]) + stream


def _numbers(bits: Bits) -> npt.NDArray[np.int64]:
    """Return the numbers that rows of bits stand for, shape (count, rice) to (count,)."""
    weights = _weights(bits.shape[1])
    numbers: npt.NDArray[np.int64] = bits.astype(weights.dtype).dot(weights).astype(np.int64)
    return numbers


@lru_cache(maxsize=64)
def _weights(rice: int) -> npt.NDArray[np.floating]:
    # Whole numbers are exact in float32 up to 24 bits, and its matrix product is the quickest.
    kind = np.float32 if rice <= 24 else np.float64
    return (1 << np.arange(rice - 1, -1, -1, dtype=np.int64)).astype(kind)


def build(call: Call) -> Golomb:
    """Read ``golomb``."""
    arity(call, 0)
    return Golomb()
