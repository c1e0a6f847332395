"""Compile the core for this machine: ``python shared/core/build.py [FOLDER]``.

The library lands where frugalfl.native looks for it, or in FOLDER. Without a C compiler nothing is
written, one line says so, and Python goes on computing the same bytes, slower.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

CORE = Path(__file__).parent
NAME = "libfrugalfl_core.so"
#: No contraction of a * b + c: the last bits decide bytes.
FLAGS = (
    "-std=c11",
    "-O3",
    "-ffp-contract=off",
    "-fvisibility=hidden",
    "-fPIC",
    "-shared",
    "-Wall",
    "-Wextra",
)


def compiler() -> str | None:
    """Return the machine's C compiler, as ``CC`` or the path names it."""
    return next(filter(None, map(shutil.which, (os.environ.get("CC", "cc"), "gcc", "clang"))), None)


def build(folder: Path) -> Path | None:
    """Compile; return the library, or nothing if there is no compiler that can."""
    if (cc := compiler()) is None:
        return None
    target = folder / NAME
    fresh = target.with_suffix(".new")
    done = subprocess.run(
        [cc, *FLAGS, str(CORE / "all.c"), "-o", str(fresh)], capture_output=True, text=True
    )
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        return None
    fresh.replace(target)
    return target


if __name__ == "__main__":
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else CORE.parent / "frugalfl" / "native"
    print(build(place) or "no C compiler: Python computes the same bytes, slower")
