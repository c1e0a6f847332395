"""How the step size of local training changes with the round, as settings write it.

Both ends read the same text, so that the step size need not travel: only that of ``plateau`` does,
which depends on what the server has measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from frugalfl.calls import Call, arity, below_one, parse_call, unknown, whole

#: From the first and the last step size, the place of a round in its phase (from 0) and the rounds
#: of that phase to the step size of the round.
Schedule = Callable[[float, float, int, int], float]


@dataclass(frozen=True)
class Plateau:
    """The step size falls whenever the task's first measure has stalled.

    Attributes:
        factor: What it is multiplied by, above 0 and below 1.
        patience: Rounds in a row without a better measure after which it falls.
    """

    factor: float
    patience: int

    def rate(self, first: float, last: float, stalls: int) -> float:
        """Return the step size after so many stalls; never below the last one."""
        return max(first * self.factor**stalls, last)


def _cosine(first: float, last: float, place: int, rounds: int) -> float:
    share = place / max(rounds - 1, 1)
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2


def _linear(first: float, last: float, place: int, rounds: int) -> float:
    return first + (last - first) * place / max(rounds - 1, 1)


def _constant(first: float, last: float, place: int, rounds: int) -> float:
    return first


def _stepwise(call: Call) -> Schedule:
    arity(call, 2)
    factor, every = below_one(call.arguments[0].name, "step"), whole(call.arguments[1], "step")
    return lambda first, last, place, rounds: first * factor ** (place // every)


_PLAIN: dict[str, Schedule] = {"constant": _constant, "cosine": _cosine, "linear": _linear}


def parse_schedule(text: str) -> Schedule | Plateau:
    """Read a schedule: ``cosine`` (Loshchilov and Hutter 2017), ``linear``, ``step(0.1, 30)`` ...

    >>> step = parse_schedule("step(0.1, 30)")
    >>> [round(step(0.05, 0.01, place, 80), 6) for place in (0, 29, 30, 60)]
    [0.05, 0.05, 0.005, 0.0005]
    >>> parse_schedule("plateau(0.5, 4)")
    Plateau(factor=0.5, patience=4)

    Raises:
        UsageError: An unknown name, or wrong arguments.
    """
    call = parse_call(text)
    if call.name == "step":
        return _stepwise(call)
    if call.name == "plateau":
        arity(call, 2)
        factor = below_one(call.arguments[0].name, call.name)
        return Plateau(factor, whole(call.arguments[1], call.name))
    if call.name not in _PLAIN:
        raise unknown("schedule", call.name, (*_PLAIN, "step", "plateau"))
    arity(call, 0)
    return _PLAIN[call.name]
