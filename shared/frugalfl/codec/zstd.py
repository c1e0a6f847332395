"""``zstd``: the low 16 bits of each symbol, bytes shuffled, then Zstandard (RFC 8878).

Shuffling puts all high bytes before all low bytes: the high byte of a float16 (sign and exponent)
repeats, the low one does not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import zstandard

from frugalfl.blocks import Shape
from frugalfl.calls import Call, arity
from frugalfl.codec.chain import Tensor
from frugalfl.codec.shapes import entries, split
from frugalfl.errors import CodecError, FrameError

_LEVEL = 9


class Zstd:
    """Codes symbols of 16 bits, such as those of ``float16``."""

    def encode(self, tensors: list[Tensor]) -> bytes:
        """Return one Zstandard frame that states its content size.

        Raises:
            CodecError: A symbol does not fit 16 bits.
        """
        symbols = np.concatenate([tensor.ravel() for tensor in tensors])
        if symbols.dtype != np.int32 or not np.array_equal(symbols, symbols.astype(np.int16)):
            raise CodecError("zstd codes 16-bit symbols; put float16 before it")
        planes = symbols.astype("<i2").view(np.uint8).reshape(-1, 2).T
        return zstandard.ZstdCompressor(level=_LEVEL).compress(planes.tobytes())

    def decode(self, data: memoryview, shapes: Sequence[Shape]) -> list[Tensor]:
        """Return int32 symbols; refuses a content size other than the shapes need."""
        total = entries(shapes)
        try:
            if zstandard.frame_content_size(data) != 2 * total:
                raise FrameError(f"the frame does not hold the {total} entries that it declares")
            raw = zstandard.ZstdDecompressor().decompress(data, max_output_size=2 * total)
        except zstandard.ZstdError as error:
            raise FrameError(f"the frame's Zstandard data is corrupt: {error}") from error
        if len(raw) != 2 * total:
            raise FrameError(f"the frame does not hold the {total} entries that it declares")
        planes = np.frombuffer(raw, np.uint8).reshape(2, total).T
        symbols = np.ascontiguousarray(planes).view("<i2").ravel().astype(np.int32)
        return split(symbols, shapes)


def build(call: Call) -> Zstd:
    """Read ``zstd``."""
    arity(call, 0)
    return Zstd()
