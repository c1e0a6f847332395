"""``golomb``: sparse signs as Golomb-Rice coded gaps and one bit for each sign.

Gaps between nonzero entries of a sparse update are close to geometric, for which Golomb codes are
the best prefix codes (Golomb 1966; Rice 1979; used for updates by Sattler et al. 2019).

Layout: varint count of nonzeros; then, if any, one byte with the Rice parameter b; then a bit
stream, first bit in the high bit of a byte: all quotients in unary (ones, ended by a zero), all
remainders in b bits, all signs (1 is negative), padded with zeros to whole bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from frugalfl.blocks import Shape
from frugalfl.calls import Call, arity
from frugalfl.codec.buffer import Reader, varint
from frugalfl.codec.links import Tensor, Thresholds
from frugalfl.codec.shapes import entries, split
from frugalfl.errors import CodecError, FrameError

Bits = npt.NDArray[np.uint8]
_MAX_RICE_BITS = 40


class Golomb:
    """Codes symbols −1, 0 and 1."""

    def encode(self, tensors: list[Tensor], thresholds: Thresholds | None) -> bytes:
        """Return count, Rice parameter and bit stream.

        Raises:
            CodecError: A symbol other than −1, 0 and 1.
        """
        symbols = np.concatenate([tensor.ravel() for tensor in tensors])
        if symbols.size and int(np.abs(symbols).max()) > 1:
            raise CodecError("golomb codes signs only; put sign before it")
        places = np.flatnonzero(symbols)
        if not places.size:
            return varint(0)
        gaps = np.diff(places, prepend=-1) - 1
        rice = _rice_parameter(gaps)
        bits = np.concatenate([_unary(gaps >> rice), _binary(gaps, rice), symbols[places] < 0])
        return varint(places.size) + bytes([rice]) + np.packbits(bits).tobytes()

    def decode(
        self, data: memoryview, shapes: Sequence[Shape], thresholds: Thresholds | None
    ) -> list[Tensor]:
        """Return int32 symbols."""
        total = entries(shapes)
        symbols = np.zeros(total, np.int32)
        reader = Reader(data)
        count = reader.varint(total)
        if count:
            places, signs = _read_gaps(reader, count, total)
            symbols[places] = np.where(signs, -1, 1)
        if len(reader.rest()):
            raise FrameError("the frame has bytes after its last gap")
        return split(symbols, shapes)


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
    """Return the places and the sign bits of ``count`` nonzeros among ``total`` entries."""
    rice = reader.byte()
    if rice > _MAX_RICE_BITS:
        raise FrameError(f"the frame's Rice parameter is {rice}, above {_MAX_RICE_BITS}")
    bits = np.unpackbits(np.frombuffer(reader.rest(), np.uint8))
    stops = np.flatnonzero(bits[: count + total] == 0)[:count]
    if stops.size < count:
        raise FrameError("the frame ends inside its gaps")
    quotients = np.diff(stops, prepend=-1) - 1
    start = int(stops[-1]) + 1
    end = start + count * (rice + 1)
    if not end <= bits.size < end + 8:
        raise FrameError("the frame's gaps and signs do not fill its payload")
    weights = 1 << np.arange(rice - 1, -1, -1, dtype=np.int64)
    remainders = bits[start : start + count * rice].reshape(count, rice) @ weights
    places = np.cumsum((quotients << rice) + remainders + 1) - 1
    if int(places[-1]) >= total or int(places.max()) >= total or int(places.min()) < 0:
        raise FrameError("the frame points beyond the last entry of the update")
    return places, bits[end - count : end]


def build(call: Call) -> Golomb:
    """Read ``golomb``."""
    arity(call, 0)
    return Golomb()
