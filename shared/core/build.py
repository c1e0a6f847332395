"""Compile the core for this machine: ``python shared/core/build.py [FOLDER]``.

The library lands where frugalfl.native looks for it, or in FOLDER; one that is already of these C
files stays. Without a C compiler nothing is written, one line says so, and Python goes on computing
the same bytes, slower. A build hook of the wheel runs this too: nothing but Python is needed here.
"""

from __future__ import annotations

import importlib.util
import os
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

CORE = Path(__file__).resolve().parent
PACKAGE = CORE.parent / "frugalfl" / "native"
_NAMES = {"darwin": "libfrugalfl_core.dylib", "win32": "frugalfl_core.dll"}
NAME = _NAMES.get(sys.platform, "libfrugalfl_core.so")
#: No contraction of a * b + c: the last bits decide bytes.
COMMON = ("-std=c11", "-ffp-contract=off", "-fvisibility=hidden", "-Wall", "-Wextra")
SHARED = (*COMMON, "-O3", "-fPIC", "-shared")
#: Loads a library as frugalfl.native does, but may die of it.
_ASK = "import ctypes, sys; print(ctypes.CDLL(sys.argv[1]).fc_source() & 0xFFFFFFFF)"


def machine_compilers() -> Iterator[list[str]]:
    """Yield the commands of the machine's C compilers: ``CC`` first."""
    for command in (shlex.split(os.environ.get("CC", "")), ["cc"], ["gcc"], ["clang"]):
        if command and (path := shutil.which(command[0])):
            yield [path, *command[1:]]


def compilers() -> Iterator[list[str]]:
    """Yield the machine's, then PyPI's ziglang if this Python has it."""
    yield from machine_compilers()
    if importlib.util.find_spec("ziglang"):
        yield zig("-mcpu=baseline")  # without it, for this very processor


def zig(*options: str) -> list[str]:
    """Return the command of ziglang's C compiler."""
    return [sys.executable, "-m", "ziglang", "cc", *options]


def fingerprint() -> int:
    """Return the number of these C files, as frugalfl.native works it out."""
    return int(runpy.run_path(str(PACKAGE / "source.py"))["fingerprint"](CORE))


def compile_core(
    command: list[str], flags: tuple[str, ...], output: Path, source: str = "all.c"
) -> str:
    """Compile the core, or a part; return what the compiler complained about if it failed."""
    of = f"-DFC_SOURCE={fingerprint()}u"
    done = subprocess.run(
        [*command, *flags, of, str(CORE / source), "-o", str(output)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return (done.stderr or f"exit code {done.returncode}") if done.returncode else ""


def is_current(library: Path) -> bool:
    """Return whether a library loads here and is of these C files."""
    if not library.exists():
        return False
    done = subprocess.run(
        [sys.executable, "-I", "-c", _ASK, str(library.resolve())],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() == str(fingerprint())


def build(folder: Path) -> Path | None:
    """Compile with the first compiler that can; return the library, or nothing if none could."""
    target = folder / NAME
    if is_current(target):
        return target
    fresh = folder / f"{os.getpid()}-{NAME}"
    try:
        for command in compilers():
            complaint = compile_core(command, SHARED, fresh)
            if not complaint and is_current(fresh):
                return fresh.replace(target)
            print(complaint or f"what {command[0]} made does not load", file=sys.stderr)
    finally:
        fresh.unlink(missing_ok=True)
    return None


if __name__ == "__main__":
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else PACKAGE
    if library := build(place):
        print(library)
    else:
        print("no C compiler: Python computes the same bytes, slower", file=sys.stderr)
