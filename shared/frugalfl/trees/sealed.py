"""What the small messages of trees have in common: a magic, a checksum, arrays of floats."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import zstandard

from frugalfl.codec.buffer import Reader
from frugalfl.errors import FrameError
from frugalfl.trees.forest import Float32s

_LEVEL = 9


def sealed(body: bytes) -> bytes:
    """Return the bytes with their checksum (CRC-32) behind them."""
    return body + zlib.crc32(body).to_bytes(4, "little")


def opened(data: bytes, start: bytes) -> Reader:
    """Return a reader behind the magic of a message whose checksum is right.

    Args:
        data: What :func:`sealed` returned.
        start: Two bytes of magic and the format's number.

    Raises:
        FrameError: Another magic, another format, or damaged bytes.
    """
    body, checksum = memoryview(data)[:-4], bytes(data[-4:])
    reader = Reader(body)
    if not reader.passed(start[:2]):
        raise FrameError(f"these bytes are not a {start[:2].decode()!r} message (wrong magic)")
    if not reader.passed(start[2:]):
        raise FrameError(f"the message has format {reader.byte()}, this version reads {start[2]}")
    if zlib.crc32(body) != int.from_bytes(checksum, "little"):
        raise FrameError("the message's checksum does not match; it was damaged on the way")
    return reader


def compressed(raw: bytes) -> bytes:
    """Return bytes that :func:`expanded` restores (Zstandard, RFC 8878)."""
    return zstandard.ZstdCompressor(level=_LEVEL).compress(raw)


def expanded(data: bytes | memoryview, size: int) -> bytes:
    """Return exactly ``size`` bytes; no more memory is taken, whatever the data says.

    Raises:
        FrameError: The data is corrupt, or of another size.
    """
    try:
        if zstandard.frame_content_size(data) == size:
            raw = zstandard.ZstdDecompressor().decompress(data, max_output_size=size)
            if len(raw) == size:
                return raw
    except zstandard.ZstdError as error:
        raise FrameError(f"the message's numbers are corrupt: {error}") from error
    raise FrameError(f"the message's numbers are not the {size} B that they should be")


def packed_floats(columns: Sequence[Float32s]) -> bytes:
    """Return float32 arrays without their lengths, byte plane after byte plane, compressed."""
    joined = np.concatenate([np.zeros(0, np.float32), *columns]).astype("<f4")
    return compressed(joined.view(np.uint8).reshape(-1, 4).T.tobytes())


def unpacked_floats(data: memoryview, lengths: Sequence[int]) -> tuple[Float32s, ...]:
    """Read what :func:`packed_floats` wrote.

    Raises:
        FrameError: The bytes are not as many finite numbers.
    """
    count = sum(lengths)
    raw = expanded(data, 4 * count)
    planes = np.frombuffer(raw, np.uint8).reshape(4, count).T
    values = np.ascontiguousarray(planes).view("<f4").ravel().astype(np.float32)
    if not np.isfinite(values).all():
        raise FrameError("the message holds a value that is no finite number")
    return tuple(np.split(values, np.cumsum(lengths)[:-1])) if lengths else ()
