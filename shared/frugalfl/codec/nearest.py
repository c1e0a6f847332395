"""``nearest(step)``: rounding to the nearest multiple of a step, with a dead zone.

Biased: values below the dead zone are never sent without feedback. A value is rounded up from 0.6
of a step only, because a nonzero costs more bytes than its error is worth, and each symbol is
restored to the mean of what was rounded to it (Lloyd 1982), sent as three offsets.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from frugalfl.blocks import Shape
from frugalfl.calls import Call, arity
from frugalfl.codec.buffer import Reader
from frugalfl.codec.entropy.rounding import CENTROIDS, centroids, restore, round_nearest
from frugalfl.codec.links import Family, Tensor, Transform
from frugalfl.codec.step_rules import StepRule, choose_step, read_step, step_rule
from frugalfl.errors import FrameError

_OFFSETS = struct.Struct(f"<{CENTROIDS}e")


class Nearest(Transform):
    """Symbols are multiples of the step; side information: step, and offsets of sizes 1, 2, 3+."""

    family: Family = "biased"
    pointwise = True

    def __init__(self, rule: StepRule) -> None:
        self._rule = rule

    def forward(self, tensors: list[Tensor], seed: int) -> tuple[list[Tensor], bytes]:
        """Return int32 symbols, the step (float32) and three offsets in steps (float16)."""
        step, side = choose_step(self._rule, tensors)
        symbols = [round_nearest(tensor, step) for tensor in tensors]
        offsets = centroids(tensors, symbols, step) if step else [0.0] * CENTROIDS
        return list(symbols), side + _OFFSETS.pack(*offsets)

    def backward(
        self, tensors: list[Tensor], side: Reader, shapes: Sequence[Shape], seed: int
    ) -> list[Tensor]:
        """Multiply the symbols, each shifted by its offset, by the step."""
        step = read_step(side)
        offsets = _OFFSETS.unpack(side.bytes(_OFFSETS.size))
        if not np.isfinite(offsets).all():
            raise FrameError("the frame's offsets are not finite")
        with np.errstate(over="ignore"):
            return [restore(tensor, step, offsets) for tensor in tensors]


def build(call: Call) -> Nearest:
    """Read ``nearest(1.27 sigma)``."""
    arity(call, 1)
    return Nearest(step_rule(call.arguments[0], "nearest"))
