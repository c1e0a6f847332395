"""``stochastic(step)``: unbiased rounding to multiples of a coarse step.

A value between two multiples goes to either, with the odds that make its mean right (Alistarh et
al. 2017). With a step far above most values this is sparse: nearly all become zero, and the
chance of a value to survive is proportional to its size.

The random thresholds come from a seed that both ends know. That is exactly as unbiased, and the
receiver then knows where a small value can have survived, so that less has to be sent: entropy
coded dithered quantization (Ziv 1985; Zamir and Feder 1992; Shlezinger et al. 2020 for updates).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from frugalfl.blocks import Shape
from frugalfl.calls import Call, arity, whole
from frugalfl.codec.buffer import Reader
from frugalfl.codec.entropy.rounding import restore, round_by_seed, step_for_noise
from frugalfl.codec.links import Family, Steering, Tensor, Transform
from frugalfl.codec.step_rules import (
    StepRule,
    choose_step,
    largest_magnitude,
    positive,
    read_step,
    step_rule,
)
from frugalfl.errors import FrameError, UsageError

_MOST_BITS = 8
#: Noise of ``auto`` if no server steers it: safe from three clients a round up.
_UNSTEERED = 8.0


class Stochastic(Transform):
    """Symbols are multiples of the step; the step, float32, is the side information."""

    family: Family = "unbiased"
    pointwise = True
    rounds_by_seed = True

    def __init__(self, rule: StepRule) -> None:
        self._rule = rule

    def forward(self, tensors: list[Tensor], seed: int) -> tuple[list[Tensor], bytes]:
        """Return int32 symbols, and the step.

        Raises:
            CodecError: A value is beyond 2**31 steps.
        """
        step, side = choose_step(self._rule, tensors)
        return self._rounded(tensors, step, seed), side

    def _rounded(self, tensors: list[Tensor], step: float, seed: int) -> list[Tensor]:
        starts = accumulate((tensor.size for tensor in tensors), initial=0)
        return [
            round_by_seed(tensor, step, seed, first)
            for tensor, first in zip(tensors, starts, strict=False)
        ]

    def backward(
        self, tensors: list[Tensor], side: Reader, shapes: Sequence[Shape], seed: int
    ) -> list[Tensor]:
        """Multiply the symbols by the step."""
        step = self.steering(side).step
        return [restore(tensor, step) for tensor in tensors]

    def steering(self, side: Reader) -> Steering:
        """Read the side information.

        Raises:
            FrameError: A number is negative or not finite.
        """
        step = read_step(side)
        if not len(side):
            return Steering(step, None)
        base = struct.unpack("<f", bytes(2) + bytes(side.bytes(2)))[0]
        if not 0 <= base < float("inf"):
            raise FrameError(f"the frame's base is {base}")
        return Steering(step, base)


class Steered(Stochastic):
    """Adds a multiple of the update's own power as noise, its step bounded by the server.

    Updates that grow, because the model has gone astray or because one client is unlike the
    others, would otherwise bring noise that grows with them, and make the next ones grow again.

    Side information: the step, float32, then the base, the upper half of a float32.
    """

    def __init__(self, noise: float, most: float) -> None:
        """Take the noise as a multiple of the update's power, and the largest base to count."""
        super().__init__(lambda tensors: noise * min(_base(tensors), most))
        self._noise, self._most = noise, most

    def forward(self, tensors: list[Tensor], seed: int) -> tuple[list[Tensor], bytes]:
        """Return int32 symbols, step and base."""
        with np.errstate(over="ignore"):
            base = _base(tensors)
        step, side = choose_step(lambda _: self._noise * min(base, self._most), tensors)
        return self._rounded(tensors, step, seed), side + struct.pack("<f", base)[2:]


def _base(tensors: Sequence[Tensor]) -> float:
    """Return ``sum x² / sum |x|``, 0 for an update of zeros."""
    return step_for_noise(tensors, 1.0)


def build(call: Call) -> Stochastic:
    """Read ``stochastic(24 sigma)``, ``stochastic(auto)`` or ``stochastic(8 noise, 0.01)``.

    The number beside a noise is the largest base to count; ``any``: no bound.
    """
    arity(call, 1, 2)
    rule = call.arguments[0]
    if rule.name == "auto" and len(call.arguments) == 1:
        return Steered(_UNSTEERED, float("inf"))
    if len(call.arguments) == 1:
        return Stochastic(step_rule(rule, "stochastic"))
    number, _, unit = rule.name.partition(" ")
    if unit != "noise":
        raise UsageError(f"stochastic takes a bound beside a noise, as in (8 noise, 0.01): {call}")
    most = call.arguments[1].name
    bound = float("inf") if most == "any" else positive(most, "stochastic")
    return Steered(positive(number, "stochastic"), bound)


def build_qsgd(call: Call) -> Stochastic:
    """Read ``qsgd(bits)``: as many levels as fit the bits, up to the largest value.

    QSGD of Alistarh et al. 2017, with the largest magnitude in place of the norm.
    """
    arity(call, 1)
    bits = whole(call.arguments[0], "qsgd")
    if not 2 <= bits <= _MOST_BITS:
        raise UsageError(f"qsgd takes 2 to {_MOST_BITS} bits, not {bits}")
    levels = (1 << (bits - 1)) - 1

    def step(tensors: Sequence[Tensor]) -> float:
        largest = [largest_magnitude(tensor) for tensor in tensors]
        return max(largest, default=0.0) / float(levels)

    return Stochastic(step)
