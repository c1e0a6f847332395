"""A sweep that is killed in the middle, and begun again."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from common import ROOT

from simulating.environments import CannotRunError, last_line
from simulating.watched import FRUGALFL
from simulating.workload import APP

_DEADLINE_S = 240


def kill_and_resume(runs: int, rounds: int = 10) -> dict[str, Any]:
    """Kill a sweep once its first run has ended, begin it anew, see that this run is not repeated.

    Args:
        runs: How many seeds are swept.
        rounds: Of each run.

    Raises:
        CannotRunError: There is no sweep, or it failed.
    """
    if _call("sweep", "--help").returncode:
        raise CannotRunError("this version has no `frugalfl sweep`")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        words = ("sweep", APP, f"seed=1..{runs}", f"rounds={rounds}", "--out", folder)
        _kill_after_one(words, folder)
        kept = _finished(folder)
        began = time.monotonic()
        done = _call(*words)
        if done.returncode:
            raise CannotRunError(f"the sweep did not go on: {last_line(done.stderr)}")
        after = _finished(folder)
    return {
        "runs": len(after), "kept": len(kept), "second_s": time.monotonic() - began,
        "resumed": len(after) == runs and all(after.get(run) == at for run, at in kept.items()),
    }  # fmt: skip


def _call(*words: object) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [FRUGALFL, *map(str, words)], cwd=ROOT, capture_output=True, text=True,
            timeout=_DEADLINE_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise CannotRunError(f"the sweep took more than {_DEADLINE_S} s") from None


def _kill_after_one(words: tuple[object, ...], folder: Path) -> None:
    """Begin a sweep, and end it as a power cut does once a run is finished and others are not."""
    process = subprocess.Popen(
        [FRUGALFL, *map(str, words)], cwd=ROOT, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    until = time.monotonic() + _DEADLINE_S
    try:
        while process.poll() is None and not _finished(folder) and time.monotonic() < until:
            time.sleep(0.02)
        if process.poll() is not None:
            raise CannotRunError(f"the sweep ended with {process.returncode} before it was killed")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _finished(folder: Path) -> dict[str, int]:
    """Return when each run's summary was written, by its folder (ns)."""
    return {
        str(file.parent.relative_to(folder)): file.stat().st_mtime_ns
        for file in folder.rglob("summary.json")
        if not file.parent.is_symlink()
    }
