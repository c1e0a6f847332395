"""When to ask the SuperLink for work: quickly while a run goes on, slowly when nothing happens."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

#: Weight of the last pause in what is expected of the next (the gains of RFC 6298, section 2, are
#: 1/8 and 1/4; a run has fewer pauses than a connection has packets), and of its deviation.
_GAIN, _DEVIATION_GAIN = 0.4, 0.25
#: What the first pause of a run is thought to vary by, as a share of it.
_FIRST_DEVIATION = 0.1
#: The first question of a pause comes so many deviations after it should be over: a question that
#: finds nothing costs more than being a little late.
_LATER = 0.7
#: After a question that found nothing the wait is this share of the silence so far: where a message
#: was expected about now; in a run's first pause, of which nothing is known, but that the longer it
#: is, the longer others take than this node; and where nothing is expected.
_NEAR, _FIRST, _PATIENCE = 0.15, 0.5, 0.25
#: Longest wait of a node that nothing else is said to (s): 3 MB a day with TLS, at most.
IDLE_S = 90.0
#: Pauses shorter than this (s) are not foreseen: quick questions cost little then.
_SHORT_S = 2.0
#: After so long (s) a run's first pause is more likely to be its end.
_LONG_S = 60.0
#: Share by which waits differ at random, so that devices do not all ask at once; the first question
#: of a foreseen pause comes at its own device's time anyway.
_JITTER = 0.1


@dataclass
class Pace:
    """A node's rhythm; times in s on a clock that never goes back.

    The pauses between an answer and the next message of the same run are much alike: the first
    question comes when the next should be over, by their mean and deviation, further ones ever
    more slowly. How long a pause was, the server's clock says, to about a second: when it took
    the answer, and when it made the message. When the node asked does not matter.

    Attributes:
        quick: Shortest wait between two questions (s).
        idle: Longest wait (s).
        started: When the node began to wait.
    """

    quick: float
    idle: float
    started: float
    _run: int | None = field(default=None, init=False)
    _taken: float | None = field(default=None, init=False)
    _mean: float | None = field(default=None, init=False)
    _deviation: float = field(default=0.0, init=False)

    def message(self, now: float, run: int, sent: float) -> None:
        """Note that a message came, which the server made at ``sent`` (s, on its clock)."""
        silence = self.silence(now)
        pause = silence if self._taken is None else min(max(sent - self._taken, 0.0), silence)
        if run != self._run:
            self._run, self._mean = run, None
        elif self._mean is None:
            self._mean, self._deviation = pause, _FIRST_DEVIATION * pause
        else:
            error = pause - self._mean
            self._mean += _GAIN * error
            self._deviation += _DEVIATION_GAIN * (abs(error) - self._deviation)

    def answered(self, now: float, taken: float | None) -> None:
        """Note that its answer was taken, at ``taken`` by the server's clock: a pause begins."""
        self.started, self._taken = now, taken

    def silence(self, now: float) -> float:
        """Return how long nothing came (s)."""
        return now - self.started

    def wait(self, now: float) -> float:
        """Note that a question found nothing; return how long to wait before the next (s)."""
        silence = self.silence(now)
        share = _PATIENCE
        if self._mean is not None and silence < 2 * self._mean:
            share = _NEAR
        elif self._mean is None and self._run is not None and silence < _LONG_S:
            share = _FIRST
        return self._jittered(max(self.quick, share * silence))

    def first_wait(self) -> float:
        """Return how long to wait before the first question of a pause (s)."""
        expected = 0.0 if self._mean is None else self._mean + _LATER * self._deviation
        return min(expected, self.idle) if expected > _SHORT_S else self._jittered(self.quick)

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
