"""``sign``: every nonzero entry becomes its sign times one scale, the mean magnitude.

The scale is the mean over the *nonzero* entries, so that a sparse update keeps its size
(Sattler et al. 2019, sparse ternary compression).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from frugalfl.blocks import Shape
from frugalfl.calls import Call, arity
from frugalfl.codec.buffer import Reader
from frugalfl.codec.links import Family, Tensor, Transform


class Sign(Transform):
    """Symbols −1, 0, 1, and one float32 scale for the whole update."""

    family: Family = "biased"
    pointwise = True

    def forward(self, tensors: list[Tensor], seed: int) -> tuple[list[Tensor], bytes]:
        """Return int32 signs, and the scale as 4 B little-endian float32."""
        total = sum(float(np.abs(tensor).sum(dtype=np.float64)) for tensor in tensors)
        count = sum(int(np.count_nonzero(tensor)) for tensor in tensors)
        scale = total / count if count else 0.0
        return [np.sign(tensor).astype(np.int32) for tensor in tensors], struct.pack("<f", scale)

    def backward(
        self, tensors: list[Tensor], side: Reader, shapes: Sequence[Shape], seed: int
    ) -> list[Tensor]:
        """Multiply the signs by the scale."""
        (scale,) = struct.unpack("<f", side.bytes(4))
        factor = np.float32(scale)
        return [np.multiply(tensor, factor, dtype=np.float32) for tensor in tensors]


def build(call: Call) -> Sign:
    """Read ``sign``."""
    arity(call, 0)
    return Sign()
