"""How the step size of local training changes with the round, as settings write it.

Both ends read the same text, so the step size never travels.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from frugalfl.calls import Call, arity, below_one, parse_call, unknown, whole

#: From the first and the last step size, the place of a round in its phase (from 0) and the rounds
#: of that phase to the step size of the round.
Schedule = Callable[[float, float, int, int], float]


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


def parse_schedule(text: str) -> Schedule:
    """Read a schedule: ``cosine`` (Loshchilov and Hutter 2017), ``linear``, ``constant``, ``step``.

    >>> step = parse_schedule("step(0.1, 30)")
    >>> [round(step(0.05, 0.01, place, 80), 6) for place in (0, 29, 30, 60)]
    [0.05, 0.05, 0.005, 0.0005]

    Raises:
        UsageError: An unknown name, or wrong arguments.
    """
    call = parse_call(text)
    if call.name == "step":
        return _stepwise(call)
    if call.name not in _PLAIN:
        raise unknown("schedule", call.name, (*_PLAIN, "step"))
    arity(call, 0)
    return _PLAIN[call.name]
