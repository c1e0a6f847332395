"""Whether the server waits for whole rounds, as settings write it: ``buffered(10)``.

Both ends check the text; only the server aggregates (`frugalfl_server/rounds/buffered.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from frugalfl.calls import Call, arity, parse_call, unknown, whole
from frugalfl.errors import UsageError

#: Strategies whose steps take nothing but the weighted mean of the updates.
_OF_THE_MEAN = ("fedavg", "fedavgm", "fedadagrad", "fedadam", "fedyogi", "fedprox")


@dataclass(frozen=True)
class Buffered:
    """Buffered asynchronous aggregation.

    Attributes:
        updates: Updates after which the model makes a step.
        staleness: Most steps that the model may have made since a client started; an older update
            is left out.
        step: The server's learning rate: what the mean of the buffer is multiplied by.
    """

    updates: int
    staleness: int = 20
    step: float = 1.0


def parse_asynchronous(text: str) -> Buffered | None:
    """Read a way of aggregating; ``None``: in rounds.

    >>> parse_asynchronous("buffered(5, staleness 50, step 0.5)")
    Buffered(updates=5, staleness=50, step=0.5)

    Raises:
        UsageError: An unknown name, or numbers that cannot be.
    """
    if not text:
        return None
    call = parse_call(text)
    if call.name != "buffered":
        raise unknown("way of asynchronous", call.name, ("buffered",))
    arity(call, 1, 3)
    options: dict[str, float] = {}
    for option in call.arguments[1:]:
        name, _, number = option.name.partition(" ")
        if name not in _OPTIONS or option.arguments:
            raise unknown("option of buffered", str(option), _OPTIONS)
        if name in options:
            raise UsageError(f"buffered has {name} twice: {call}")
        options[name] = _OPTIONS[name](number, name)
    return Buffered(whole(call.arguments[0], call.name), **options)  # type: ignore[arg-type]


def needs_whole_rounds(strategy: str) -> bool:
    """Tell whether a strategy compares the single updates of a round."""
    return parse_call(strategy).name not in _OF_THE_MEAN


def staleness_weight(steps: int) -> float:
    """Return what an update counts for whose client started so many steps of the model ago.

    ``1 / sqrt(1 + steps)``: Nguyen et al., Federated Learning with Buffered Asynchronous
    Aggregation, AISTATS 2022.
    """
    return 1 / math.sqrt(1 + steps)


def _staleness(number: str, name: str) -> int:
    return 0 if number == "0" else whole(Call(number), name)


def _step(number: str, name: str) -> float:
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise UsageError(f"{name} takes a number above 0, not {number!r}")
    return value


_OPTIONS: dict[str, Callable[[str, str], float]] = {"staleness": _staleness, "step": _step}
