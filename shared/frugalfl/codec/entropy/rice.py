"""Increasing whole numbers as Golomb-Rice coded gaps (Golomb 1966; Rice and Plaunt 1971).

Layout: one byte, the number of remainder bits r; then all quotients in unary (ones, and a zero as
a stop), then all remainders of r bits, in bits from the highest; filled up to a byte with zeros.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from frugalfl.codec.buffer import Reader, varint
from frugalfl.errors import FrameError
from frugalfl.native.golomb import MOST_PLACES, coder


def encode_places(places: npt.NDArray[np.int64]) -> bytes:
    """Return strictly increasing numbers, from 0, as bytes with their length in front."""
    if places.size and places[-1] <= MOST_PLACES and (quick := coder()) is not None:
        rice, stream = quick.encode(places, None, more=1)
        return varint(len(stream) + 1) + bytes([rice]) + stream
    gaps = np.diff(places, prepend=-1) - 1
    candidates = range(max(int(gaps.max(initial=0)), 1).bit_length() + 1)
    rice = min(candidates, key=lambda bits: int((gaps >> bits).sum()) + bits * gaps.size)
    quotients = gaps >> rice
    unary = np.ones(int(quotients.sum()) + quotients.size, np.uint8)
    unary[np.cumsum(quotients + 1) - 1] = 0
    binary = (gaps[:, None] >> np.arange(rice - 1, -1, -1)) & 1
    bits = np.packbits(np.concatenate([unary, binary.astype(np.uint8).ravel()])).tobytes()
    return varint(len(bits) + 1) + bytes([rice]) + bits


def decode_places(reader: Reader, count: int, below: int) -> npt.NDArray[np.int64]:
    """Read ``count`` strictly increasing numbers, all of them below a bound of at most 2**40.

    Raises:
        FrameError: There are others, or the bytes are not what :func:`encode_places` writes.
    """
    data = reader.bytes(reader.varint(8 * (count + below) + 2))
    if not len(data) or data[0] > below.bit_length():
        raise FrameError("places have no Rice parameter that can be")
    rice, bits = data[0], np.unpackbits(np.frombuffer(data[1:], np.uint8))
    stops = np.flatnonzero(bits == 0)[:count]
    if len(stops) < count:
        raise FrameError("places end before the last of them")
    end = (int(stops[-1]) + 1 if count else 0) + count * rice
    if not end <= bits.size < end + 8:
        raise FrameError("places do not fill the bytes that they have")
    quotients = np.diff(stops, prepend=-1) - 1
    weights = 1 << np.arange(rice - 1, -1, -1, dtype=np.int64)
    remainders = bits[end - count * rice : end].reshape(count, rice).astype(np.int64) @ weights
    if count and int(quotients.max()) > below >> rice:
        raise FrameError(f"a place is beyond {below}")
    places: npt.NDArray[np.int64] = np.cumsum((quotients << rice) + remainders + 1) - 1
    if count and int(places[-1]) >= below:
        raise FrameError(f"a place is beyond {below}")
    return places
