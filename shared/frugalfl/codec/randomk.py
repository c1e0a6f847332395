"""``randomk(share)``: send random entries only, scaled so that the mean is right.

Which entries they are follows from the seed that both ends know, so only values travel, and all
clients with the same seed send the same places: what a secure sum needs (Konecny et al. 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
import numpy.typing as npt

from frugalfl.blocks import Shape
from frugalfl.calls import Call, arity, fraction
from frugalfl.codec.buffer import Reader
from frugalfl.codec.entropy import mix
from frugalfl.codec.links import Family, Tensor, Transform
from frugalfl.codec.shapes import entries, split

#: Keeps these places apart from the rounding thresholds of the same seed.
_STREAM = 0x52414E44


class RandomK(Transform):
    """Turns an update into one vector of ``ceil(share * entries)`` values."""

    family: Family = "unbiased"

    def __init__(self, share: float) -> None:
        self._share = share

    def forward(self, tensors: list[Tensor], seed: int) -> tuple[list[Tensor], bytes]:
        """Return the chosen values, divided by the share that was chosen."""
        flat = np.concatenate([tensor.ravel() for tensor in tensors])
        places = self._places(flat.size, seed)
        return [flat[places] * np.float32(flat.size / max(places.size, 1))], b""

    def backward(
        self, tensors: list[Tensor], side: Reader, shapes: Sequence[Shape], seed: int
    ) -> list[Tensor]:
        """Put the values into their places, zeros elsewhere."""
        flat = np.zeros(entries(shapes), np.float32)
        flat[self._places(flat.size, seed)] = tensors[0]
        return split(flat, shapes)

    def shapes_after(self, shapes: Sequence[Shape]) -> list[Shape]:
        """Return the shape of the one vector."""
        return [(self._count(entries(shapes)),)]

    def _count(self, size: int) -> int:
        return min(size, ceil(self._share * size))

    def _places(self, size: int, seed: int) -> npt.NDArray[np.int64]:
        """Return the chosen entries: those with the smallest words."""
        order = np.argsort(mix(seed ^ _STREAM, size), kind="stable")
        return np.sort(order[: self._count(size)])


def build(call: Call) -> RandomK:
    """Read ``randomk(1%)``."""
    arity(call, 1)
    return RandomK(fraction(call.arguments[0], "randomk"))
