"""Environments of the peers: a venv each, kept from one run to the next."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import venv
from dataclasses import dataclass
from pathlib import Path

#: What an environment may take on disk (MB); a peer that needs more is left out.
LARGEST_MB = 2000
_INSTALL_S = 1500


class CannotRunError(Exception):
    """A peer cannot be installed or run; its text is one line why."""


@dataclass(frozen=True)
class Environment:
    """Where a peer is installed, and what that took.

    Attributes:
        python: Its interpreter.
        megabytes: On disk (MB).
        seconds: That installing took (s), whenever that was.
        versions: Of what is installed, by package.
    """

    python: Path
    megabytes: float
    seconds: float
    versions: dict[str, str]


def default_folder() -> Path:
    """Return the folder in which environments are kept."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "frugalfl" / "peers"


def environment_of(
    folder: Path, name: str, steps: tuple[tuple[str, ...], ...], more: tuple[str, ...] = ()
) -> Environment:
    """Return a peer's environment; make it if it is not there.

    Args:
        folder: Where environments are kept.
        name: Of this one.
        steps: Arguments of ``pip install``, one call after the other.
        more: Arguments of each of them that do not say what is installed, such as an index.

    Raises:
        CannotRunError: pip refuses, or it is too large.
    """
    place = folder / name
    stamp = place / "installed.json"
    if stamp.is_file():
        kept = json.loads(stamp.read_text(encoding="utf-8"))
        if kept["steps"] == [list(step) for step in steps]:
            return _opened(place, kept)
    shutil.rmtree(place, ignore_errors=True)
    print(f"installing {name} into {place} ...", flush=True)
    kept = _install(place, steps, more)
    stamp.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    return _opened(place, kept)


def _opened(place: Path, kept: dict[str, object]) -> Environment:
    found = Environment(
        place / "bin" / "python",
        kept["megabytes"],
        kept["seconds"],
        kept["versions"],  # type: ignore[arg-type]
    )
    if found.megabytes > LARGEST_MB:
        raise CannotRunError(
            f"{found.megabytes:,.0f} MB on disk are more than {LARGEST_MB:,} for a peer"
        )
    return found


def _install(
    place: Path, steps: tuple[tuple[str, ...], ...], more: tuple[str, ...]
) -> dict[str, object]:
    began = time.monotonic()
    venv.create(place, with_pip=True)
    pip = [place / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
    for step in steps:
        command = ["/usr/bin/env", "nice", "-n", "19", *pip, "install", "--quiet", *more, *step]
        done = _called(command)
        if done.returncode:
            raise CannotRunError(f"pip install {' '.join(step)}: {last_line(done.stderr)}")
    listed = _called([*pip, "list", "--format", "json"])
    size = _called(["/usr/bin/du", "-sm", place])
    return {
        "steps": [list(step) for step in steps],
        "seconds": round(time.monotonic() - began, 1),
        "megabytes": float(size.stdout.split()[0]),
        "versions": {one["name"].lower(): one["version"] for one in json.loads(listed.stdout)},
        "python": sys.version.split()[0],
    }


def _called(command: list[object]) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(
        words, capture_output=True, text=True, timeout=_INSTALL_S, check=False, env=clean()
    )


def clean() -> dict[str, str]:
    """Return the variables of this process without those that lead to this Python's packages."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    }


def last_line(text: str, most: int = 200) -> str:
    """Return the last line that says something, cut to a length."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:most] if lines else "it said nothing"
