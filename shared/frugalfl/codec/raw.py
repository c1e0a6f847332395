"""``raw``: float32 as it is, 4 B an entry. The identity, for comparison."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from frugalfl.blocks import Shape
from frugalfl.calls import Call, arity
from frugalfl.codec.links import Coder, Draws, Tensor
from frugalfl.codec.shapes import entries, split
from frugalfl.errors import CodecError, FrameError


class Raw(Coder):
    """Little-endian float32, all tensors in order."""

    def encode(self, tensors: list[Tensor], draws: Draws) -> bytes:
        """Return the values' bytes.

        Raises:
            CodecError: The tensors are symbols: the chain has a rounding link without a coder.
        """
        if any(tensor.dtype != np.float32 for tensor in tensors):
            raise CodecError("raw carries float32; end a chain of symbols with range")
        return b"".join(tensor.astype("<f4").tobytes() for tensor in tensors)

    def decode(self, data: memoryview, shapes: Sequence[Shape], draws: Draws) -> list[Tensor]:
        """Return float32 values."""
        if len(data) != 4 * entries(shapes):
            raise FrameError(f"the frame holds {len(data)} B, not 4 B for each of its entries")
        return split(np.frombuffer(data, "<f4").astype(np.float32), shapes)


def build(call: Call) -> Raw:
    """Read ``raw``."""
    arity(call, 0)
    return Raw()
