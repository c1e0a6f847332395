"""``stochastic(step)``: unbiased rounding to multiples of a coarse step.

A value between two multiples goes to either, with the odds that make its mean right (Alistarh et
al. 2017). With a step far above most values this is sparse: nearly all become zero, and the
chance of a value to survive is proportional to its size.

The random thresholds come from a seed that both ends know. That is exactly as unbiased, and the
receiver then knows where a small value can have survived, so that less has to be sent: entropy
coded dithered quantization (Ziv 1985; Zamir and Feder 1992; Shlezinger et al. 2020 for updates).
"""

from __future__ import annotations

from collections.abc import Sequence

from frugalfl.blocks import Shape
from frugalfl.calls import Call, arity, whole
from frugalfl.codec.buffer import Reader
from frugalfl.codec.entropy.rounding import restore, round_shared
from frugalfl.codec.links import Family, SameShapes, Tensor, shared_thresholds
from frugalfl.codec.steps import StepRule, choose_step, largest_magnitude, read_step, step_rule
from frugalfl.errors import UsageError

_MOST_BITS = 8


class Stochastic(SameShapes):
    """Symbols are multiples of the step; the step is the side information."""

    family: Family = "unbiased"
    shares_thresholds = True

    def __init__(self, rule: StepRule) -> None:
        self._rule = rule

    def forward(self, tensors: list[Tensor], seed: int) -> tuple[list[Tensor], bytes]:
        """Return int32 symbols, and the step.

        Raises:
            CodecError: A value is beyond 2**31 steps.
        """
        step, side = choose_step(self._rule, tensors)
        words = shared_thresholds([tensor.shape for tensor in tensors], seed)
        symbols = [round_shared(t, step, word) for t, word in zip(tensors, words, strict=True)]
        return list(symbols), side

    def backward(
        self, tensors: list[Tensor], side: Reader, shapes: Sequence[Shape], seed: int
    ) -> list[Tensor]:
        """Multiply the symbols by the step."""
        step = read_step(side)
        return [restore(tensor, step) for tensor in tensors]


def build(call: Call) -> Stochastic:
    """Read ``stochastic(24 sigma)``."""
    arity(call, 1)
    return Stochastic(step_rule(call.arguments[0], "stochastic"))


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
