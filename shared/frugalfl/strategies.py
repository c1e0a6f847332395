"""How the server turns updates into the next model, as settings write it: ``fedadam(0.01)``.

Both ends check the text; only the server builds the strategy:
`frugalfl_server/rounds/flower_strategies.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from frugalfl.calls import Call, arity, fraction, parse_call, unknown, whole
from frugalfl.errors import UsageError


@dataclass(frozen=True)
class Chosen:
    """A checked strategy.

    Attributes:
        name: One of :data:`STRATEGIES`.
        numbers: Its arguments.
    """

    name: str
    numbers: tuple[float, ...] = ()


@dataclass(frozen=True)
class _Rule:
    """What a strategy's arguments are, and the clients that it needs a round."""

    arguments: tuple[Callable[[Call, str], float], ...] = ()
    least_clients: Callable[..., float] = lambda *_: 1


def _positive(call: Call, what: str) -> float:
    value = _number(call, what)
    if not 0 < value < float("inf"):
        raise UsageError(f"{what} takes a number above 0, not {call.name!r}")
    return value


def _momentum(call: Call, what: str) -> float:
    value = _number(call, what)
    if not 0 <= value < 1:
        raise UsageError(f"{what} takes a momentum from 0 to below 1, not {call.name!r}")
    return value


def _below_half(call: Call, what: str) -> float:
    value = fraction(call, what)
    if value >= 0.5:
        raise UsageError(f"{what} takes a share below 50% to leave out at each end, not {call}")
    return value


def _number(call: Call, what: str) -> float:
    try:
        return float(call.name)
    except ValueError:
        raise UsageError(f"{what} takes a number such as 0.1, not {call.name!r}") from None


def _for_krum(bad: float, *_: float) -> float:
    return 2 * bad + 3  # Blanchard et al. 2017: n > 2f + 2


def _for_bulyan(bad: float) -> float:
    return 4 * bad + 3  # El Mhamdi et al. 2018


#: Every strategy that a setting may name.
STRATEGIES = {
    "fedavg": _Rule(),
    "fedavgm": _Rule((_momentum,)),
    "fedadagrad": _Rule((_positive,)),
    "fedadam": _Rule((_positive,)),
    "fedyogi": _Rule((_positive,)),
    "fedprox": _Rule((_positive,)),
    "qfedavg": _Rule((_positive,)),
    "fedmedian": _Rule(),
    "fedtrimmedavg": _Rule((_below_half,)),
    "krum": _Rule((whole,), _for_krum),
    "multikrum": _Rule((whole, whole), _for_krum),
    "bulyan": _Rule((whole,), _for_bulyan),
    "dpfedavg": _Rule((_positive, _positive)),
}


def parse_strategy(text: str, clients: int) -> Chosen:
    """Read a strategy.

    >>> parse_strategy("fedtrimmedavg(20%)", 10)
    Chosen(name='fedtrimmedavg', numbers=(0.2,))

    Args:
        text: A name, or a name with its arguments.
        clients: Clients of a round.

    Raises:
        UsageError: An unknown name, wrong arguments, or too few clients for it.
    """
    call = parse_call(text)
    if call.name not in STRATEGIES:
        raise unknown("strategy", call.name, STRATEGIES)
    rule = STRATEGIES[call.name]
    arity(call, len(rule.arguments))
    numbers = tuple(
        read(argument, call.name)
        for read, argument in zip(rule.arguments, call.arguments, strict=True)
    )
    if clients < (least := rule.least_clients(*numbers)):
        raise UsageError(
            f"strategy {call} needs at least {least:.0f} clients a round, not {clients}"
        )
    return Chosen(call.name, numbers)


def fewest_clients(text: str, clients: int) -> int:
    """Return how many clients a round of a strategy needs.

    >>> fewest_clients("krum(1)", 10), fewest_clients("fedavg", 10)
    (5, 1)

    Raises:
        UsageError: As :func:`parse_strategy`.
    """
    chosen = parse_strategy(text, clients)
    return int(STRATEGIES[chosen.name].least_clients(*chosen.numbers))
