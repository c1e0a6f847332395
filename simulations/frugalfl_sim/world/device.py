"""One simulated device: how fast it computes and sends, when it is there, and its dropouts."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Of a clock (s, and hours a day).
HOUR_S, DAY_H = 3600.0, 24
#: A device that is there at any time.
ALWAYS = frozenset(range(DAY_H))


@dataclass(frozen=True)
class SimulatedDevice:
    """What a device is like, in figures.

    Attributes:
        operations_per_s: Additions and multiplications of training (1/s).
        down_bytes_per_s: Receiving (B/s), pauses that its link demands among it.
        up_bytes_per_s: Sending (B/s), likewise.
        latency_s: Of a request and its answer together, beside their bytes (s).
        dropout: Chance that it goes away during a round, from 0 to 1.
        hours: Hours of the day, 0 to 23, at which it can be asked and works.
    """

    operations_per_s: float
    down_bytes_per_s: float
    up_bytes_per_s: float
    latency_s: float
    dropout: float
    hours: frozenset[int] = ALWAYS

    def is_there(self, day_s: float) -> bool:
        """Say whether it can be asked, so many seconds after a midnight."""
        return int(day_s // HOUR_S) % DAY_H in self.hours

    def stays_s(self, day_s: float) -> float:
        """Return how long it still stays (s), so many seconds after a midnight; 0: it is away."""
        if len(self.hours) == DAY_H:
            return math.inf
        hour = int(day_s // HOUR_S)
        end = next(h for h in range(hour, hour + DAY_H) if h % DAY_H not in self.hours)
        return max(end * HOUR_S - day_s, 0.0)

    def receiving_s(self, down: int) -> float:
        """Return how long a request of so many bytes (B) is on its way (s)."""
        return self.latency_s / 2 + down / self.down_bytes_per_s

    def exchange_s(self, down: int, operations: float, up: int) -> float:
        """Return how long a whole exchange takes (s).

        Args:
            down: Length of what it is sent (B).
            operations: Of its work.
            up: Length of its answer (B).
        """
        work_s = operations / self.operations_per_s
        return self.receiving_s(down) + work_s + up / self.up_bytes_per_s + self.latency_s / 2
