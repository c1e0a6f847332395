"""What was refused, in a few lines for the operator, however much it was."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

#: Between two lines about the same thing (s).
_AGAIN_S = 30.0
#: Most lines at once; the rest is one line more.
_LINES = 6
#: Most things that are kept apart; an attacker with many addresses must not fill the memory.
_KEPT = 1024
#: Most characters of a text that a stranger chose.
_TEXT = 48


class RefusedError(Exception):
    """A request or a connection that goes no further.

    Attributes:
        what: What it was, e.g. ``request to /v1/control/start-run``; its plural has an s after the
            first word.
        why: Why not.
        status: HTTP status of the answer; 0: there is none, the connection ends.
        body: The answer's body.
    """

    def __init__(self, what: str, why: str, status: int = 0, body: bytes = b"") -> None:
        super().__init__(why)
        self.what, self.why, self.status, self.body = what, why, status, body


@dataclass
class _Count:
    """How often something was refused since it was last told, and when that was (s)."""

    what: str
    number: int = 0
    told: float = field(default=-_AGAIN_S)


class Refused:
    """Counts by address and reason, and says each of them at once, then twice a minute."""

    def __init__(
        self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin with nothing; ``say`` takes one line."""
        self._say, self._clock = say, clock
        self._counts: dict[tuple[str, str], _Count] = {}

    def add(self, address: str, error: RefusedError) -> None:
        """Count one refusal."""
        name = (address, error.why)
        if name not in self._counts and len(self._counts) >= _KEPT:
            name = ("many addresses", error.why)
        count = self._counts.setdefault(name, _Count(error.what))
        count.number += 1
        count.what = error.what

    def tell(self, *, everything: bool = False) -> None:
        """Say what is due, or everything; call it every second or so."""
        now = self._clock()
        due = [
            (address, why, count)
            for (address, why), count in self._counts.items()
            if count.number and (everything or now - count.told >= _AGAIN_S)
        ]
        due.sort(key=lambda one: -one[2].number)
        for address, why, count in due[:_LINES]:
            self._say(f"refused {_counted(count.number, count.what)} from {address}: {why}")
        if rest := due[_LINES:]:
            number = sum(count.number for _, _, count in rest)
            addresses = len({address for address, _, _ in rest})
            self._say(f"refused {number:,} more of several kinds, from {addresses:,} addresses")
        for _, _, count in due:
            count.number, count.told = 0, now
        self._forget(now)

    def _forget(self, now: float) -> None:
        """Drop what has been quiet for a while."""
        quiet = [
            name
            for name, count in self._counts.items()
            if not count.number and now - count.told >= _AGAIN_S
        ]
        for name in quiet:
            del self._counts[name]


def printable(text: bytes) -> str:
    """Return a stranger's text for one line of a terminal: short, and without control codes."""
    shown = "".join(
        chr(byte) if 0x21 <= byte < 0x7F and byte != 0x5C else f"\\x{byte:02x}"
        for byte in text[:_TEXT]
    )
    return shown[:_TEXT] + ("..." if len(text) > _TEXT or len(shown) > _TEXT else "")


def _counted(number: int, what: str) -> str:
    first, space, rest = what.partition(" ")
    return f"{number:,} {first}{'' if number == 1 else 's'}{space}{rest}"
