"""What was refused, in a few lines for the operator, however much it was."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

#: Between two lines about the same thing (s).
_AGAIN_S = 30.0
#: Most lines within that time, whatever the number of addresses; the rest is one line more.
_LINES = 20
#: Most things that are kept apart; an attacker with many addresses must not fill the memory.
_KEPT = 1024
#: Most characters of a text that a stranger chose.
_TEXT = 48


class RequestRefusedError(Exception):
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


class Refusals:
    """Counts by address and reason, and says each of them at once, then twice a minute.

    An attacker with many addresses gets no more lines than anybody: lines are a budget that is
    filled again as time passes (a token bucket), and what is beyond it is summed up.
    """

    def __init__(
        self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin with nothing; ``say`` takes one line."""
        self._say, self._clock = say, clock
        self._counts: dict[tuple[str, str], _Count] = {}
        self._lines, self._filled = float(_LINES), clock()
        self._more, self._more_of, self._more_told = 0, set[str](), clock() - _AGAIN_S

    def add(self, address: str, error: RequestRefusedError) -> None:
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
        for address, why, count in due:
            if self._may_say(now):
                self._say(f"refused {_count_text(count.number, count.what)} from {address}: {why}")
            else:
                self._more += count.number
                self._more_of.add(address)
            count.number, count.told = 0, now
        self._tell_more(now, everything)
        self._forget(now)

    def _may_say(self, now: float) -> bool:
        """Take a line out of the budget, if one is left."""
        filled = (now - self._filled) * _LINES / _AGAIN_S
        self._lines, self._filled = min(_LINES, self._lines + filled), now
        if self._lines < 1:
            return False
        self._lines -= 1
        return True

    def _tell_more(self, now: float, everything: bool) -> None:
        """Sum up what there were no lines for."""
        if self._more and (everything or now - self._more_told >= _AGAIN_S):
            self._say(
                f"refused {self._more:,} more of several kinds, "
                f"from {len(self._more_of):,} addresses"
            )
            self._more, self._more_told = 0, now
            self._more_of.clear()

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


def _count_text(number: int, what: str) -> str:
    first, space, rest = what.partition(" ")
    return f"{number:,} {first}{'' if number == 1 else 's'}{space}{rest}"
