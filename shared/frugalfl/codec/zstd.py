"""``zstd``: bytes shuffled, then Zstandard (RFC 8878). Alone it is lossless float32.

Shuffling puts all first bytes of the values together, then all second ones, and so on: sign and
exponent repeat, the low bits do not.

Layout: one byte, 2 (16-bit symbols) or 4 (float32), then one Zstandard frame with its content size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import zstandard

from frugalfl.blocks import Shape
from frugalfl.calls import Call, arity
from frugalfl.codec.buffer import Reader
from frugalfl.codec.links import Coder, Draws, Tensor
from frugalfl.codec.shapes import entries, split
from frugalfl.errors import CodecError, FrameError

_LEVEL = 9
_KINDS = {2: "<i2", 4: "<f4"}


class Zstd(Coder):
    """Codes float32 values, or symbols of 16 bits such as those of ``float16``."""

    def encode(self, tensors: list[Tensor], draws: Draws) -> bytes:
        """Return the width byte and one Zstandard frame.

        Raises:
            CodecError: A symbol does not fit 16 bits.
        """
        values = np.concatenate([tensor.ravel() for tensor in tensors])
        width = 2 if np.issubdtype(values.dtype, np.integer) else 4
        if width == 2 and not np.array_equal(values, values.astype(np.int16)):
            raise CodecError(
                "zstd codes float32 or 16-bit symbols; use range after a rounding link"
            )
        planes = values.astype(_KINDS[width]).view(np.uint8).reshape(-1, width).T
        return bytes([width]) + zstandard.ZstdCompressor(level=_LEVEL).compress(planes.tobytes())

    def decode(self, data: memoryview, shapes: Sequence[Shape], draws: Draws) -> list[Tensor]:
        """Return values or symbols; refuses a content size other than the shapes need."""
        reader = Reader(data)
        width = reader.byte()
        if width not in _KINDS:
            raise FrameError(f"the frame's values are {width} B wide, not 2 or 4")
        total = entries(shapes)
        raw = _decompress(reader.rest(), width * total)
        planes = np.frombuffer(raw, np.uint8).reshape(width, total).T
        values = np.ascontiguousarray(planes).view(_KINDS[width]).ravel()
        return split(values.astype(np.int32 if width == 2 else np.float32), shapes)


def _decompress(data: memoryview, size: int) -> bytes:
    try:
        if zstandard.frame_content_size(data) != size:
            raise FrameError(f"the frame does not hold the {size} B that it declares")
        raw = zstandard.ZstdDecompressor().decompress(data, max_output_size=size)
    except zstandard.ZstdError as error:
        raise FrameError(f"the frame's Zstandard data is corrupt: {error}") from error
    if len(raw) != size:
        raise FrameError(f"the frame does not hold the {size} B that it declares")
    return raw


def build(call: Call) -> Zstd:
    """Read ``zstd``."""
    arity(call, 0)
    return Zstd()
