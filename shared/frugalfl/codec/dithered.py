"""``dithered(step)``: unbiased rounding whose error does not depend on the values.

A number that both ends draw is added before rounding and taken off after it (subtractive dither:
Roberts 1962; for updates Shlezinger et al. 2020). The error is uniform in half a step to either
side, whatever the value: its power is ``step² / 12``, half of what ``stochastic`` adds at steps
near the values' own size, for the same symbols. Far coarser steps, which leave most symbols zero,
are for ``stochastic``: what is zero there stays zero.

Side information: one byte ``b``; the step is ``2**(b // 8 - 20)``, and that times 1, 1.09375,
1.1875, 1.296875, 1.4140625, 1.546875, 1.6875 or 1.828125 by ``b % 8``: within 5 % of the step that
was asked for. An update of zeros has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ldexp, log2

import numpy as np
import numpy.typing as npt

from frugalfl.blocks import FloatArray, Shape
from frugalfl.calls import Call, arity
from frugalfl.codec.buffer import Reader
from frugalfl.codec.links import Family, Tensor, Transform, shared_dither
from frugalfl.codec.step_rules import StepRule, choose_step, largest_magnitude, step_rule
from frugalfl.errors import CodecError
from frugalfl.native import core
from frugalfl.native import dithered as native

_EIGHTHS = (1.0, 1.09375, 1.1875, 1.296875, 1.4140625, 1.546875, 1.6875, 1.828125)
_LOWEST = -20
_MOST = 2.0**31 - 2


class Dithered(Transform):
    """Symbols are multiples of the step, nearest to the values with the dither added."""

    family: Family = "unbiased"
    dithers = True

    def __init__(self, rule: StepRule) -> None:
        self._rule = rule

    def forward(self, tensors: list[Tensor], seed: int) -> tuple[list[Tensor], bytes]:
        """Return int32 symbols, and the step's byte.

        Raises:
            CodecError: A value is not finite, or beyond 2**31 steps.
        """
        wanted, _ = choose_step(self._rule, tensors)
        if wanted == 0:
            return [np.zeros(tensor.shape, np.int32) for tensor in tensors], b""
        number = _number_of(wanted)
        chosen = native.dither if _is_native(tensors, np.float32) else dither
        symbols = chosen(tensors, _step_of(number), seed)
        if symbols is None:
            raise CodecError("a value is not finite, or the step is too small for it")
        return list(symbols), bytes([number])

    def backward(
        self, tensors: list[Tensor], side: Reader, shapes: Sequence[Shape], seed: int
    ) -> list[Tensor]:
        """Take the dither off, and multiply by the step."""
        if not len(side):
            return [np.zeros(shape, np.float32) for shape in shapes]
        chosen = native.undither if _is_native(tensors, np.int32) else undither
        return list(chosen(tensors, _step_of(side.byte()), seed))


def _is_native(tensors: Sequence[Tensor], dtype: type[np.generic]) -> bool:
    """Return whether the core can work on these tensors."""
    return core() is not None and all(tensor.dtype == dtype for tensor in tensors)


def dither(
    tensors: Sequence[FloatArray], step: float, seed: int
) -> list[npt.NDArray[np.int32]] | None:
    """Return the symbols of tensors; nothing if a value is not finite, or beyond 2**31 steps."""
    if not max(map(largest_magnitude, tensors)) / step < _MOST:
        return None
    return [
        np.rint(tensor.astype(np.float64) / step + own).astype(np.int32)
        for tensor, own in zip(tensors, _between(tensors, seed), strict=True)
    ]


def undither(tensors: Sequence[Tensor], step: float, seed: int) -> list[FloatArray]:
    """Return the values of symbols."""
    return [
        ((tensor - own) * step).astype(np.float32)
        for tensor, own in zip(tensors, _between(tensors, seed), strict=True)
    ]


def _between(tensors: Sequence[Tensor], seed: int) -> list[npt.NDArray[np.floating]]:
    """Return a number between -1/2 and 1/2 for each entry."""
    words = shared_dither([tensor.shape for tensor in tensors], seed)
    return [(word + 0.5) * 2.0**-32 - 0.5 for word in words]


def _number_of(step: float) -> int:
    """Return the byte of the step nearest to one that is asked for."""
    return min(max(round((log2(step) - _LOWEST) * 8), 0), 255)


def _step_of(number: int) -> float:
    return ldexp(_EIGHTHS[number % 8], number // 8 + _LOWEST)


def build(call: Call) -> Dithered:
    """Read ``dithered(2 sigma)``."""
    arity(call, 1)
    return Dithered(step_rule(call.arguments[0], "dithered"))
