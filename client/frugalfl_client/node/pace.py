"""When to ask the SuperLink for work: quickly while a run goes on, slowly when nothing happens."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

#: Where a message is thought to have come, between the last question that found none and the one
#: that found it: near the later, since a question too many costs more than being a little late.
_BETWEEN = 0.7
#: After the first question each wait is this share of the silence so far.
_PATIENCE = 0.25
#: Pauses shorter than this (s) are not foreseen: quick questions cost little then.
_SHORT_S = 2.0
#: Share by which each wait differs at random, so that devices do not all ask at once.
_JITTER = 0.1
#: Pauses of which the shortest is foreseen. A long one among short ones (an evaluation, a lost
#: line, rounds of others) does not make the node late for those after it, and a question too many
#: costs less than a round that is missed.
_REMEMBERED = 3


@dataclass
class Pace:
    """A node's rhythm; times in s on a clock that never goes back.

    The pauses between an answer and the next message of the same run are much alike: the first
    question comes when the shortest of the last few would end, further ones ever more slowly.

    Attributes:
        quick: Shortest wait between two questions (s).
        idle: Longest wait (s).
        started: When the node began to wait.
    """

    quick: float
    idle: float
    started: float
    _run: int | None = field(default=None, init=False)
    _asked: float = field(default=0.0, init=False)
    _pauses: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED), init=False)
    _at_once: int = field(default=0, init=False)

    def message(self, now: float, run: int) -> None:
        """Note that a message came, the answer to a question."""
        silence = self.silence(now)
        if run != self._run:
            self._run, self._at_once = run, 0
            self._pauses.clear()
        elif self._asked:
            self._pauses.append(self._asked + _BETWEEN * (silence - self._asked))
            self._at_once = 0
        else:
            # It may have waited for long. Come 10 % earlier, then 20 %, 40 %, 50 %.
            self._pauses.append(silence * (1 - min(0.5, 0.1 * 2.0**self._at_once)))
            self._at_once += 1

    def answered(self, now: float) -> None:
        """Note that a pause begins: its answer is on its way, or a line that was lost is back."""
        self.started, self._asked = now, 0.0

    def silence(self, now: float) -> float:
        """Return how long nothing came (s)."""
        return now - self.started

    def wait(self, now: float) -> float:
        """Note that a question found nothing; return how long to wait before the next (s)."""
        self._asked = self.silence(now)
        return self._jittered(max(self.quick, _PATIENCE * self._asked))

    def first_wait(self) -> float:
        """Return how long to wait before the first question of a pause (s)."""
        expected = min(self._pauses, default=0.0)
        return self._jittered(expected if expected > _SHORT_S else self.quick)

    def _jittered(self, wait: float) -> float:
        return min(wait, self.idle) * random.uniform(1 - _JITTER, 1 + _JITTER)


def back_off(attempt: int, longest: float) -> float:
    """Return how long to wait before attempt number ``attempt`` (from 1) to connect again (s).

    Doubles from half a second up to ``longest``; half of it is left to chance, so that devices
    do not all come back at once when a server does (M. Brooker, "Exponential Backoff And Jitter",
    AWS Architecture Blog, 2015: "equal jitter").
    """
    wait = min(longest, 0.5 * 2.0 ** min(attempt - 1, 20))
    return wait * random.uniform(0.5, 1)
