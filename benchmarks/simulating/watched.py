"""``frugalfl`` as somebody types it, its rounds timed by the lines that it prints."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from simulating.environments import CannotRunError, last_line

_ROUND = re.compile(r"^\s*train\s+(\d+)/\d+\s")
FRUGALFL = Path(sys.executable).parent / "frugalfl"
#: Rounds that do not count: as of the peers.
WARM_UP = 5


@dataclass
class Watched:
    """What a run printed, and when.

    Attributes:
        rounds_s: When each round of the first phase was told (s after the start).
        said: All lines.
        seconds: Until it ended (s).
        peak_mb: Largest resident memory of its process (MB).
    """

    rounds_s: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    seconds: float = 0.0
    peak_mb: float = 0.0

    @property
    def round_s(self) -> float:
        """Mean time of a round (s), everything in it; the first ones do not count."""
        counted = self.rounds_s[WARM_UP - 1 :]
        return (counted[-1] - counted[0]) / (len(counted) - 1)

    @property
    def middle_round_s(self) -> float:
        """Median time of a round (s)."""
        counted = self.rounds_s[WARM_UP - 1 :]
        return statistics.median(after - before for before, after in itertools.pairwise(counted))


#: What a run may take (s); the large federation is meant to take three minutes.
_DEADLINE_S = 480.0


def watch(words: Iterable[object], folder: Path, stop_after: int = 0, threads: int = 1) -> Watched:
    """Run ``frugalfl`` with these words.

    Args:
        words: What is typed after its name.
        folder: Where it runs.
        stop_after: End it after so many rounds; 0: at its end.
        threads: For numerical libraries.

    Raises:
        CannotRunError: It failed, or took too long.
    """
    found, began = Watched(), time.perf_counter()
    kept = {"COLUMNS": "200", "OMP_NUM_THREADS": str(threads)}
    process = subprocess.Popen(
        [FRUGALFL, *map(str, words)], cwd=folder, text=True, env=os.environ | kept,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    alarm = threading.Timer(_DEADLINE_S, _end, (process.pid,))
    alarm.start()
    with process.stderr as lines:
        for line in lines:
            found.said.append(line)
            if _ROUND.match(line):
                found.rounds_s.append(time.perf_counter() - began)
                if len(found.rounds_s) == stop_after:
                    _end(process.pid)
    _, status, used = os.wait4(process.pid, 0)
    alarm.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    found.seconds, found.peak_mb = time.perf_counter() - began, used.ru_maxrss / 1024
    if process.returncode and (not stop_after or len(found.rounds_s) < stop_after):
        raise CannotRunError(
            f"it ended with {process.returncode}: {last_line(''.join(found.said))}"
        )
    return found


def _end(group: int) -> None:
    """End a process and what it started, as a power cut does."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
