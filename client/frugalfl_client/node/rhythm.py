"""How long a run's rounds are, and in which of them a node was left out, by their numbers."""

from __future__ import annotations

import math
from collections import deque

#: Messages that are remembered. The shortest round of these counts: one that waited for a device
#: that slept, or for one that asked late, says nothing of those after it.
_REMEMBERED = 8
#: In a run's first rounds all wait for nodes that come to it, and no pause is like those after.
_FEWEST = 4
#: In a run no wait is longer than this share of a round, or of so many seconds if rounds are
#: shorter. Where a few of many nodes are asked a round, one of these was always silent for many
#: rounds: if its wait had grown with its silence, the others would wait for it, and their silences,
#: and waits, grow in turn.
_SHARE, _LEAST_S = 0.25, 4.0
#: Once nothing came for so many rounds, and for so long (s), the run is more and more likely to be
#: over: waits grow with the silence, by this share of it.
_OVER_ROUNDS, _OVER_S, _OVER_SHARE = 32, 60.0, 0.05


class Rhythm:
    """What the messages of one run tell of its rounds."""

    def __init__(self) -> None:
        """Begin with none."""
        self._last: tuple[int, float] | None = None
        #: How many rounds a message was on from the one before, and how long one took (s).
        self._steps: deque[tuple[int, float]] = deque(maxlen=_REMEMBERED)

    def message(self, number: int | None, sent: float) -> float:
        """Note a message of round ``number``, which the server made at ``sent`` (s).

        Returns:
            How long the rounds took in which the node was left out since the one before (s).
        """
        last = self._last
        if number is None or (last is not None and number <= last[0]):
            return 0.0  # rounds are not counted, or this is a further question of the same one
        self._last = number, sent
        if last is None:
            return 0.0
        steps = number - last[0]
        length = max(sent - last[1], 0.0) / steps
        self._steps.append((steps, length))
        return (steps - 1) * length

    @property
    def is_new(self) -> bool:
        """Whether the rounds are counted, and too few were seen to foresee the next one."""
        return self._last is not None and len(self._steps) < _FEWEST

    @property
    def left_out(self) -> bool:
        """Whether there were rounds lately in which the node was not asked."""
        return any(steps > 1 for steps, _ in self._steps)

    def longest_wait(self, silence: float) -> float:
        """Return how long a wait may be after a silence (s)."""
        length = min((length for _, length in self._steps), default=math.inf)
        over = silence >= max(_OVER_ROUNDS * length, _OVER_S)
        return max(_SHARE * max(length, _LEAST_S), _OVER_SHARE * silence if over else 0.0)
