"""Ways to damage a run's files, and the verbs that read them, called in children.

A verb is the command line as a person calls it, in a process that has imported what is large
already: a hundred verbs take seconds, not minutes.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Longest that a verb may take (s): there is no more to it than a hang.
_HANGS_S = 300.0
_PRELOADED = [
    "torch", "pyarrow.parquet", "frugalfl_sim.simulate", "frugalfl_server.phases.export",
    "frugalfl_server.report.html", "frugalfl.energy.cli", "frugalfl_server.cli.serve",
    "attacking.run_files",
]  # fmt: skip


@dataclass(frozen=True)
class Said:
    """How a verb ended: exit code (``None``: it hung), and what it printed."""

    code: int | None
    out: str
    err: str

    @property
    def is_one_line(self) -> bool:
        """Whether it ended with an error of ours, in one line."""
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        known = self.code is not None and 0 < self.code < 100 and self.code != 1
        return known and len(lines) == 1 and "Traceback" not in self.err

    @property
    def line(self) -> str:
        """The line that a person reads."""
        found = [line for line in self.err.splitlines() if line.startswith("error: ")]
        return found[-1] if found else f"exit code {self.code}: {self.err[-300:]!r}"


class Verbs:
    """Calls verbs, each in a child of a server that has imported everything and run nothing."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(_PRELOADED)

    def call(self, folder: Path, *arguments: object) -> Said:
        """Call ``frugalfl`` with these arguments in a folder."""
        with tempfile.TemporaryDirectory() as place:
            out, err = Path(place) / "out", Path(place) / "err"
            child = self._context.Process(
                target=_verb, args=(str(folder), [str(one) for one in arguments], out, err)
            )
            child.start()
            child.join(_HANGS_S)
            code = child.exitcode
            if code is None:
                child.kill()
                child.join()
            return Said(code, out.read_text(), err.read_text())


def _verb(folder: str, arguments: list[str], out: Path, err: Path) -> None:
    for number, path in ((1, out), (2, err)):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(handle, number)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    os.chdir(folder)
    os.environ["COLUMNS"] = "200"
    sys.argv = ["frugalfl", *arguments]
    from frugalfl.cli import main

    try:
        main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def damages(path: Path, rng: random.Random) -> dict[str, Callable[[Path], None]]:
    """Return ways to damage a file, by name; which bit and where the cut is come from ``rng``."""
    size = path.stat().st_size
    cut, place, bit = rng.randrange(size), rng.randrange(size), 1 << rng.randrange(8)
    found: dict[str, Callable[[Path], None]] = {
        "cut off": lambda file: os.truncate(file, cut),
        "a flipped bit": lambda file: _flip(file, place, bit),
        "emptied": lambda file: os.truncate(file, 0),
        "a folder in its place": _folder,
        "a link to itself": _loop,
        "zeros": lambda file: file.write_bytes(bytes(size)) and None,
    }
    if path.suffix == ".json":
        known = json.loads(path.read_text())
        found |= {
            f"JSON: {name}": _writer(value)
            for name, value in {
                "a list": [1], "nested": "[" * 3000, "NaN": '{"status": NaN}', "nothing known": {},
                "other values": dict.fromkeys(known, -1),
                "huge numbers": dict.fromkeys(known, 10**400),
                "texts": dict.fromkeys(known, "x"),
            }.items()
        }  # fmt: skip
    return found


def _flip(file: Path, place: int, bit: int) -> None:
    data = bytearray(file.read_bytes())
    data[place] ^= bit
    file.write_bytes(data)


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _loop(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.name)


def _writer(value: object) -> Callable[[Path], None]:
    def write(file: Path) -> None:
        sys.set_int_max_str_digits(0)
        file.write_text(value if isinstance(value, str) else json.dumps(value))

    return write


def damaged_copy(run: Path, name: str, damage: Callable[[Path], None], into: Path) -> Path:
    """Copy a run to ``into/runs`` under its own name, and damage one file of the copy."""
    copy = into / "runs" / run.name
    shutil.copytree(run, copy, symlinks=True)
    damage(copy / name)
    return copy


def files_of(run: Path, patterns: Sequence[str]) -> list[str]:
    """Return the names of a run's files that fit patterns."""
    return [str(p.relative_to(run)) for one in patterns for p in sorted(run.glob(one))]
