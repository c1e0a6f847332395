"""A ServerApp that was killed is started again, with resume; one that only ever dies is not."""

from __future__ import annotations

import fcntl
import os
import signal
import time

from frugalfl.errors import FrugalFLError, RunError
from frugalfl_server.run.checkpoint import FILE
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.file_times import changed_ns, short_path
from frugalfl_server.run.resume import LOCK, refuse_unresumable

#: Most attempts in a row of which none finished a round.
_MOST = 5
#: Wait before the first of them (s); each further one is twice as long.
_FIRST_S = 1.0
#: Most seconds until the system has taken back what a killed process held, and between two looks.
_GONE_S, _LOOK_S = 15.0, 0.05


class DiedError(RunError):
    """The ServerApp is gone, and left no word of why: killed, or out of memory."""


class EndedError(RunError):
    """The ServerApp is over for the SuperLink, and left no word of why."""


class FailedError(FrugalFLError):
    """The ServerApp ended with an error, and left word of it."""


class Attempts:
    """How often a run has been taken up again."""

    def __init__(self, run: RunDirectory) -> None:
        """Begin with none."""
        self._run = run
        self._finished = changed_ns(run.path / FILE)
        self._number = 0

    def next(self, why: str) -> tuple[float, str]:
        """Return how long to wait before the next one (s), and what a person is told of it.

        Args:
            why: What the ServerApp did, in the past tense.

        Raises:
            RunError: There were too many since the last finished round, or this run cannot be
                resumed.
        """
        refuse_unresumable(self._run)
        finished = changed_ns(self._run.path / FILE)
        if finished != self._finished:
            self._finished, self._number = finished, 0
        if self._number == _MOST:
            raise RunError(
                f"the ServerApp {why}, {_MOST + 1} times without finishing a round, so it is not "
                "started again; see whether this machine is short of memory (dmesg), then go on "
                f"with: frugalfl serve --resume {short_path(self._run.path)}"
            )
        wait_s = _FIRST_S * 2.0**self._number
        self._number += 1
        return wait_s, (
            f"the ServerApp {why}; starts again in {wait_s:.0f} s, with resume "
            f"(attempt {self._number} of {_MOST})"
        )


class Watch:
    """Tells whether the process that worked on a run is gone.

    A ServerApp locks its run from before the first round to after the last word, and the system
    takes the lock back however the process ends. It is not looked at before the ServerApp has it:
    to look is to hold it for a moment.
    """

    def __init__(self, run: RunDirectory) -> None:
        """Begin before the ServerApp is started."""
        self._lock = run.path / LOCK
        self._before = changed_ns(self._lock)

    def gone(self) -> bool:
        """Say whether it has begun, and ended."""
        if changed_ns(self._lock) == self._before or not self._lock.stat().st_size:
            return False  # empty: it was made, and is not locked yet
        with self._lock.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return False
        return True

    def end(self) -> None:
        """End the process that works on the run, so that another one can go on with it.

        SuperLink forgets a ServerApp that it has not heard of for a minute: one that was stopped,
        or got no processor. What such a one still does is in vain, and it keeps the run locked.
        """
        if changed_ns(self._lock) == self._before or self.gone():
            return
        try:
            os.kill(int(self._lock.read_text(encoding="utf-8")), signal.SIGKILL)
        except (ValueError, ProcessLookupError):
            return  # it ends just now
        ends_s = time.monotonic() + _GONE_S
        while not self.gone() and time.monotonic() < ends_s:
            time.sleep(_LOOK_S)
