"""The setting ``delays``: how long each simulated client takes to answer, on a simulated clock."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate

from frugalfl.errors import UsageError

_KIND = re.compile(r"\s*(?P<seconds>\d+(\.\d+)?)\s*s(\s*\*\s*(?P<count>\d+))?\s*")


@dataclass(frozen=True)
class Delays:
    """Pairs of a delay (s) and how many clients have it, in the order of the clients' numbers."""

    kinds: tuple[tuple[float, int], ...]

    def of(self, number: int) -> float:
        """Return the delay of a client (s); past the last one they begin again."""
        number %= sum(count for _, count in self.kinds)
        ends = accumulate(count for _, count in self.kinds)
        pairs = zip(self.kinds, ends, strict=True)
        return next(seconds for (seconds, _), end in pairs if number < end)


def parse_delays(text: str) -> Delays | None:
    """Read delays; ``None``: there is no simulated clock.

    >>> parse_delays("1 s * 4, 10 s").of(9)
    10.0

    Raises:
        UsageError: The text is not delays.
    """
    if not text:
        return None
    kinds = []
    for part in text.split(","):
        match = _KIND.fullmatch(part)
        count = int(match["count"] or 1) if match else 0
        if match is None or not count:
            raise UsageError(
                f"cannot read delays {part.strip()!r}; write seconds, or several with the number "
                "of clients that take so long: 1 s * 32, 10 s * 8"
            )
        kinds.append((float(match["seconds"]), count))
    return Delays(tuple(kinds))
