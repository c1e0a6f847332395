"""``float16``: IEEE 754 half precision, 2 B an entry; exact for values in float16."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from frugalfl.blocks import Shape
from frugalfl.calls import Call, arity
from frugalfl.codec.buffer import Reader
from frugalfl.codec.links import Family, Tensor, Transform
from frugalfl.errors import CodecError


class Float16(Transform):
    """Symbols are the 16 bits of each value, as int32."""

    # Rounding to 11 significant bits is far below what training itself does not know.
    family: Family = "exact"

    def forward(self, tensors: list[Tensor], seed: int) -> tuple[list[Tensor], bytes]:
        """Return the bit patterns.

        Raises:
            CodecError: A value is beyond ±65504, the largest float16.
        """
        with np.errstate(over="ignore"):
            halves = [tensor.astype(np.float16) for tensor in tensors]
        if not all(np.isfinite(half).all() for half in halves):
            raise CodecError("a value is beyond ±65504, which float16 cannot hold; use zstd alone")
        return [half.view(np.int16).astype(np.int32) for half in halves], b""

    def backward(
        self, tensors: list[Tensor], side: Reader, shapes: Sequence[Shape], seed: int
    ) -> list[Tensor]:
        """Return the values as float32."""
        return [t.astype(np.int16).view(np.float16).astype(np.float32) for t in tensors]


def build(call: Call) -> Float16:
    """Read ``float16``."""
    arity(call, 0)
    return Float16()
