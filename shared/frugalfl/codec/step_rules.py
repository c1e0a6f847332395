"""The size of a quantization step, as settings write it: ``24 sigma``, ``8 noise``, ``1.5%``.

One step serves the whole update: the price of a nonzero hardly depends on where it is, so equal
steps are best to first order.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import numpy as np

from frugalfl.calls import Call, fraction
from frugalfl.codec.buffer import Reader
from frugalfl.codec.entropy.rounding import step_for_hits, step_for_noise, step_for_sigma
from frugalfl.codec.links import Tensor
from frugalfl.errors import FrameError, UsageError
from frugalfl.native.rounding import rounder

#: From the tensors of an update to the step between neighbouring values.
StepRule = Callable[[Sequence[Tensor]], float]

_SMALLEST, _LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)

_RULES: dict[str, Callable[[Sequence[Tensor], float], float]] = {
    "sigma": step_for_sigma,
    "noise": step_for_noise,
}


def step_rule(call: Call, what: str) -> StepRule:
    """Read a step.

    ``k sigma``: k times the root mean square of the update. ``v noise``: such that unbiased
    rounding adds v times the update's own power. ``p%``: such that it leaves that share of the
    entries nonzero.

    Raises:
        UsageError: None of these.
    """
    number, _, unit = call.name.partition(" ")
    if not unit:
        share = fraction(call, what)
        return lambda tensors: step_for_hits(tensors, share * sum(t.size for t in tensors))
    if unit not in _RULES:
        raise UsageError(
            f"{what} takes a step such as 24 sigma, 8 noise or 1.5%, not {call.name!r}"
        )
    rule, factor = _RULES[unit], positive(number, what)
    return lambda tensors: rule(tensors, factor)


def positive(text: str, what: str) -> float:
    """Read a number above 0 and below a million.

    Raises:
        UsageError: It is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise UsageError(
            f"{what} takes a step such as 24 sigma, 8 noise or 1.5%; {text!r} is no number above 0"
        )
    return value


def unknown_step(tensors: Sequence[Tensor]) -> float:
    """Stand in for the rule in a link that only reads: frames hold the step, not the rule.

    Raises:
        UsageError: Always.
    """
    raise UsageError("this codec is as frames name it, for reading; to write, name its step")


def choose_step(rule: StepRule, tensors: Sequence[Tensor]) -> tuple[float, bytes]:
    """Apply a rule; return the step as the decoder will read it, and its 4 B.

    A step of zero stands for an update of zeros. Where squares of tiny or huge values leave
    float32, the largest magnitude is the step: such an update has nothing finer to say.

    Returns:
        The step, and the same as little-endian float32.
    """
    if not any(tensor.any() for tensor in tensors):
        return 0.0, bytes(4)
    with np.errstate(over="ignore"):
        step = rule(tensors)
    if not _SMALLEST <= step <= _LARGEST:
        step = max(*map(largest_magnitude, tensors), _SMALLEST)
    data = struct.pack("<f", step)
    return struct.unpack("<f", data)[0], data


def largest_magnitude(tensor: Tensor) -> float:
    """Return the largest magnitude among the entries; 0 if there are none."""
    if (quick := rounder(tensor)) is not None:
        return quick.largest(tensor)
    return max(float(tensor.max(initial=0)), -float(tensor.min(initial=0)))


def read_step(side: Reader) -> float:
    """Read a step.

    Raises:
        FrameError: It is negative or not finite.
    """
    step: float = struct.unpack("<f", side.bytes(4))[0]
    if not 0 <= step < float("inf"):
        raise FrameError(f"the frame's step is {step}")
    return step
