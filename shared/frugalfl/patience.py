"""When a client that sends garbage is no longer asked, as settings write it: ``after(3, 10)``.

Both ends check the text; only the server sets clients aside:
`frugalfl_server/cohort/quarantine.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from frugalfl.calls import arity, parse_call, unknown, whole
from frugalfl.errors import UsageError


@dataclass(frozen=True)
class Patience:
    """How long a client may send garbage, and what follows.

    Attributes:
        wrong: Wrong replies in a row after which a client is set aside.
        rounds: Rounds for which it is not asked then.
    """

    wrong: int
    rounds: int


def parse_patience(text: str) -> Patience | None:
    """Read it; ``None``: nobody is ever set aside.

    >>> parse_patience("after(3, 10)")
    Patience(wrong=3, rounds=10)

    Raises:
        UsageError: An unknown name, or numbers that cannot be.
    """
    call = parse_call(text)
    if call.name not in ("after", "never"):
        raise unknown("set-aside", call.name, ("after", "never"))
    if call.name == "never":
        arity(call, 0)
        return None
    arity(call, 2)
    wrong, rounds = (whole(argument, "set-aside") for argument in call.arguments)
    if wrong < 1 or rounds < 1:
        raise UsageError(f"set-aside {call}: both numbers must be at least 1")
    return Patience(wrong, rounds)
