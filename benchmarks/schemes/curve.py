"""What a federation cost and brought, round by round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate
from statistics import fmean

from frugalfl.energy.record import known_sum

#: Rounds over which the final accuracy is averaged, and rounds for which a target must hold.
LAST, HOLD = 10, 3


@dataclass
class Curve:
    """One federation.

    Attributes:
        accuracy: Of the server's model on its test rows, after each round.
        up: Bytes from all clients in each round.
        down: Bytes to all clients in each round.
        joules: Of all clients in each round (J), estimated from processor time; ``None``: the
            scheme's clients keep no records.
        diverged: Training broke down before the last round, and why.
        stopped: The watcher had seen enough before the last round.
    """

    accuracy: list[float] = field(default_factory=list)
    up: list[int] = field(default_factory=list)
    down: list[int] = field(default_factory=list)
    joules: list[float | None] = field(default_factory=list)
    diverged: str = ""
    stopped: bool = False

    def add(self, accuracy: float, up: int, down: int, joules: float | None = None) -> None:
        """Add a finished round."""
        self.accuracy.append(accuracy)
        self.up.append(up)
        self.down.append(down)
        self.joules.append(joules)

    @property
    def sent(self) -> list[int]:
        """Bytes both ways until the end of each round, that round included."""
        return list(accumulate(up + down for up, down in zip(self.up, self.down, strict=True)))

    def joules_until(self, number: int) -> float | None:
        """Return the joules until the end of a round, from 1 (J)."""
        return known_sum(self.joules[:number])

    @property
    def final(self) -> float:
        """Mean accuracy of the last rounds; 0 where training broke down."""
        return 0.0 if self.diverged else fmean(self.accuracy[-LAST:])

    def reached(self, target: float, hold: int = 1) -> int | None:
        """Return the first round, from 1, that begins ``hold`` rounds in a row at the target."""
        for start in range(len(self.accuracy) - hold + 1):
            if min(self.accuracy[start : start + hold]) >= target:
                return start + 1
        return None


#: Called after each round with the curve so far; may raise :class:`EnoughError`.
Watch = Callable[[Curve], None]


class EnoughError(Exception):
    """The watcher needs no more rounds of this federation."""
