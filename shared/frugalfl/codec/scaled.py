"""``scaled``: each tensor divided by a power of two near its own root mean square.

One step then suits tensors whose values are of different sizes. Dividing by a power of two is
exact in float32. Side information: one byte a tensor, the exponent plus 128.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ldexp, log2, sqrt

import numpy as np

from frugalfl.blocks import Shape
from frugalfl.calls import Call, arity
from frugalfl.codec.buffer import Reader
from frugalfl.codec.links import Family, Tensor, Transform

_BIAS = 128
#: Exponents that keep float32 away from its ends.
_MOST = 100


class Scaled(Transform):
    """Values are divided by the power of two, whatever becomes of them later."""

    family: Family = "exact"

    def forward(self, tensors: list[Tensor], seed: int) -> tuple[list[Tensor], bytes]:
        """Return the quotients, and the exponents."""
        exponents = [_exponent(tensor) for tensor in tensors]
        quotients = [
            tensor * np.float32(ldexp(1.0, -exponent))
            for tensor, exponent in zip(tensors, exponents, strict=True)
        ]
        return quotients, bytes(exponent + _BIAS for exponent in exponents)

    def backward(
        self, tensors: list[Tensor], side: Reader, shapes: Sequence[Shape], seed: int
    ) -> list[Tensor]:
        """Multiply."""
        return [tensor * np.float32(ldexp(1.0, side.byte() - _BIAS)) for tensor in tensors]


def _exponent(tensor: Tensor) -> int:
    power = float(np.square(tensor, dtype=np.float64).sum())
    if power == 0:
        return 0
    return min(max(round(log2(sqrt(power / tensor.size))), -_MOST), _MOST)


def build(call: Call) -> Scaled:
    """Read ``scaled``."""
    arity(call, 0)
    return Scaled()
