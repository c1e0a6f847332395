"""Which clients train in a round, as settings write it: ``sticky(20, 0.5)``.

Both ends check the text; only the server chooses clients:
`frugalfl_server/cohort/sticky_sampling.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from frugalfl.calls import Call, arity, parse_call, unknown, whole
from frugalfl.errors import UsageError


@dataclass(frozen=True)
class Sticky:
    """A group that trains again and again, while outsiders take their turns in it.

    Attributes:
        group: Clients in the group.
        fresh: Outsiders that join it each round, on average; as many members leave.
    """

    group: int
    fresh: float


def parse_sampling(text: str, clients: int) -> Sticky | None:
    """Read a way of sampling; ``None`` leaves the choice to the strategy.

    >>> parse_sampling("sticky(20, 0.5)", 10)
    Sticky(group=20, fresh=0.5)

    Args:
        text: ``uniform`` or ``sticky(group, fresh)``.
        clients: Clients of a round.

    Raises:
        UsageError: An unknown name, or numbers that cannot be.
    """
    call = parse_call(text)
    if call.name not in ("uniform", "sticky"):
        raise unknown("sampling", call.name, ("uniform", "sticky"))
    if call.name == "uniform":
        arity(call, 0)
        return None
    arity(call, 2)
    group, fresh = whole(call.arguments[0], call.name), _fresh(call.arguments[1], clients)
    if group < clients:
        raise UsageError(
            f"sampling {call}: a group of {group} is smaller than the {clients} clients a round"
        )
    return Sticky(group, fresh)


def _fresh(call: Call, clients: int) -> float:
    try:
        fresh = float(call.name)
    except ValueError:
        fresh = math.nan
    if not 0 < fresh <= clients:
        raise UsageError(
            "sticky takes as its second argument how many outsiders join a round, above 0 and at "
            f"most the {clients} clients of a round, not {call.name!r}"
        )
    return fresh
