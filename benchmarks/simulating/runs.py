"""Runs the scripts of the peers, each in its environment and a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simulating.environments import CannotRunError, clean, environment_of, last_line
from simulating.peers import SCRIPTS, Peer

#: What one run may take (s); the slowest peer takes two minutes.
_DEADLINE_S = 420


def measure_peer(
    peer: Peer, data: Path, rounds: int, seconds: float, folder: Path, more: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Run a peer in all its ways; return the figures of the fastest, and the speed of each.

    Args:
        peer: Who.
        data: File of the workload.
        rounds: How many; the accuracy is of the model after them.
        seconds: How long those go on that can be called round by round.
        folder: Where environments are kept.
        more: Arguments of every ``pip install``.

    Returns:
        The figures; or, if it cannot be installed or no way runs, ``why_not``: one line why.
        ``failed`` has that line of each way that failed.
    """
    tried: dict[str, dict[str, Any]] = {}
    failed: dict[str, str] = {}
    told = {"title": peer.title, "note": peer.note}
    try:
        about, python = _prepared(peer, folder, more)
    except CannotRunError as error:
        return told | {"why_not": str(error)}
    for way, given in peer.ways.items():
        try:
            tried[way] = _run(python, peer, given, data, rounds, seconds)
        except CannotRunError as error:
            failed[way] = str(error)
    if not tried:
        return told | {"why_not": next(iter(failed.values()))}
    best = max(tried, key=lambda way: tried[way]["updates_per_s"])
    speeds = {way: found["updates_per_s"] for way, found in tried.items()}
    return {
        **told, **tried[best], "rounds": rounds, "way": best, "ways": speeds, "failed": failed,
        "installed": about,
    }  # fmt: skip


def _prepared(
    peer: Peer, folder: Path, more: tuple[str, ...]
) -> tuple[dict[str, Any] | None, Path]:
    """Return what installing took, and the interpreter; this one's for who needs no other."""
    if not peer.environment:
        return None, Path(sys.executable)
    made = environment_of(folder, peer.environment, peer.steps, more)
    return {"megabytes": made.megabytes, "seconds": made.seconds}, made.python


def _run(
    python: Path, peer: Peer, given: tuple[str, ...], data: Path, rounds: int, seconds: float
) -> dict[str, Any]:
    words = [str(python), str(SCRIPTS / peer.script), str(data)]
    words += ["--rounds", str(rounds), "--seconds", str(seconds), *given]
    code, said, wrong = run_apart(words, _DEADLINE_S)
    if code:
        raise CannotRunError(f"it ended with {code}: {last_line(wrong)}")
    return figures_in(said)


def run_apart(words: list[str], deadline_s: float) -> tuple[int, str, str]:
    """Run a program; whatever it started ends with it.

    Returns:
        Its exit code, what it printed, and what it printed on standard error.

    Raises:
        CannotRunError: It took too long.
    """
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean(),
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            said, wrong = process.communicate(timeout=deadline_s)
        except subprocess.TimeoutExpired:
            raise CannotRunError(f"it took more than {deadline_s:.3g} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, said, wrong


def figures_in(said: str) -> dict[str, Any]:
    """Return the last line of JSON that a script printed.

    Raises:
        CannotRunError: There is none, or it does not tell a speed and an accuracy.
    """
    for line in reversed(said.splitlines()):
        if line.startswith("{"):
            try:
                found = json.loads(line)
            except ValueError:
                continue
            return _sound(found)
    raise CannotRunError("it printed no figures")


def _sound(found: Mapping[str, Any]) -> dict[str, Any]:
    accuracy = found.get("accuracy")
    if not isinstance(accuracy, float) or not accuracy > 0.15:  # of 10 classes, chance gets 0.1
        raise CannotRunError(f"it does not train: accuracy {accuracy}")
    return dict(found)
