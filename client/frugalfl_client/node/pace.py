"""When to ask the SuperLink for work: quickly while a run goes on, slowly when nothing happens."""

from __future__ import annotations

import math
import random
from collections import deque
from dataclasses import dataclass, field

from frugalfl_client.node.rhythm import Rhythm

#: Pauses that are remembered, and how much longer than the shortest of them those may be that the
#: next one is thought to be like. A long one among short ones (an evaluation, a lost line, rounds
#: of others) does not make the node late for those after it, and a question too many costs less
#: than a round that is missed.
_REMEMBERED, _ALIKE = 3, 1.5
#: Of so many pauses the shortest is how soon a message may come: while one device sleeps, all the
#: others see pauses as long as a round may take; the first one after that is as short as before.
#: Pauses so many times as long as the shortest are not just unlike it by chance.
_SOONEST_OF, _FAR = 8, 2.5
#: After a question that found nothing the wait is this share of the silence so far: where a message
#: was expected about now; in a run's first pause, of which nothing is known, but that the longer it
#: is, the longer others take than this node; and where nothing is expected.
_NEAR, _FIRST, _PATIENCE = 0.15, 0.5, 0.25
#: A message is expected about now between these multiples of a foreseen pause.
_SOONEST, _LATEST = 0.9, 2.0
#: Pauses shorter than this (s) are not foreseen: quick questions cost little then.
_SHORT_S = 2.0
#: After so long (s) a run's first pause is more likely to be its end.
_LONG_S = 60.0
#: Share by which waits differ at random, so that devices do not all ask at once; the first question
#: of a foreseen pause comes at its own device's time anyway.
_JITTER = 0.1


@dataclass
class Pace:
    """When a node asks; times in s on a clock that never goes back.

    The pauses between an answer and the next message of the same run are much alike: of the last
    few, those about as long as the shortest count, and the first question comes when the longest of
    these would be over, since one that finds nothing costs more than being a little late. (Of
    pauses that are alike, one in four is longer than the three before it.) Further questions come
    ever more slowly. If a few pauses before were much shorter, the first question comes when one of
    those would be over.

    Rounds that the node was not asked in are known by their numbers: a pause is put down without
    them, since the next round may be the node's. How long a round is, the shortest of the last few
    says, so that one that waited for a device that slept changes nothing.

    How long a pause was, the server's clock says, to about a second: when it took the answer, and
    when it made the message. When the node asked does not matter, but how late it took the message
    before: the others had begun already, so the pause was shorter by so much. It is put down as
    long as it had been without that, and the next one is expected to be shorter by what the node
    was late this time. Otherwise one long wait made the next pause short, and that pause the
    questions of the rounds after it many.

    Attributes:
        quick: Shortest wait between two questions (s).
        idle: Longest wait (s).
        started: When the node began to wait.
    """

    quick: float
    idle: float
    started: float
    _run: int | None = field(default=None, init=False)
    _joined: bool = field(default=False, init=False)
    _taken: float | None = field(default=None, init=False)
    _late: float = field(default=0.0, init=False)
    _rhythm: Rhythm = field(default_factory=Rhythm, init=False)
    _pauses: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED), init=False)
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=_SOONEST_OF), init=False)

    def message(self, now: float, run: int, sent: float, number: int | None = None) -> None:
        """Note that a message came.

        Args:
            now: When it was taken (s).
            run: Whose it is.
            sent: When the server made it (s, on its clock).
            number: Of its round; ``None``: its app does not count rounds.
        """
        late, self._late = self._late, 0.0
        if began := run != self._run:
            self._run, self._joined = run, True
            self._pauses.clear()
            self._recent.clear()
            self._rhythm = Rhythm()
        left_out = self._rhythm.message(number, sent)
        if not began and self._taken is not None:
            silence = self.silence(now)
            since = min(max(sent - self._taken, 0.0), silence)
            pause = max(since - left_out, 0.0)
            # Nodes come to a run one after the other: the last one's first pause tells nothing.
            if not self._joined or pause > _SHORT_S:
                self._pauses.append(pause + late)
                if not self._joined:  # it may have been the end of a longer one
                    self._recent.append(pause + late)
            self._late, self._joined = silence - since, False

    def answered(self, now: float, taken: float | None) -> None:
        """Note that its answer was taken, at ``taken`` by the server's clock: a pause begins.

        ``None``, where a server does not tell the time: the pause is none to learn from.
        """
        self.started, self._taken = now, taken

    def connected_again(self, now: float) -> None:
        """Note that a line is back; a server that comes up has work, often.

        The pause that it fell into is none to learn from.
        """
        self.started, self._taken = now, None

    def silence(self, now: float) -> float:
        """Return how long nothing came (s)."""
        return now - self.started

    def wait(self, now: float) -> float:
        """Note that a question found nothing; return how long to wait before the next (s)."""
        silence, expected = self.silence(now), self._expected()
        share = _PATIENCE
        if _SOONEST * expected <= silence < _LATEST * expected:
            share = _NEAR
        elif not self._pauses and self._run is not None and silence < _LONG_S:
            share = _FIRST
        longest = self._rhythm.longest_wait(silence)
        return self._jittered(max(self.quick, min(share * silence, longest)))

    def first_wait(self) -> float:
        """Return how long to wait before the first question of a pause (s)."""
        expected = self._expected() - self._late
        soonest = min(self._recent, default=math.inf)
        if self._expected() > _FAR * soonest and expected > soonest:
            return min(max(soonest, self.quick), self.idle)
        return min(expected, self.idle) if expected > _SHORT_S else self._jittered(self.quick)

    def _expected(self) -> float:
        """Return how long the next pause should be (s); 0: nothing is known."""
        if self._rhythm.is_new:
            return 0.0
        if self._rhythm.left_out:
            return min(self._recent, default=0.0)
        alike = _ALIKE * min(self._pauses, default=0.0)
        return max((pause for pause in self._pauses if pause <= alike), default=0.0)

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
