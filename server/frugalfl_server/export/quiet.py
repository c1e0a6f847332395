"""Keep the chatter of C++ libraries off the terminal, and hold it for an error message.

The converter, TFLite and TFLite-Micro log from C++ straight to file descriptors 1 and 2, where
Python's own redirection cannot see them.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO


@dataclass(frozen=True)
class Chatter:
    """What was written while :func:`quiet` held the terminal."""

    file: IO[str]

    def text(self) -> str:
        """Return everything so far."""
        self.file.flush()
        self.file.seek(0)
        return self.file.read()

    def last_line(self) -> str:
        """Return the last line that is not empty, or ``""``."""
        lines = [line.strip() for line in self.text().splitlines() if line.strip()]
        return lines[-1] if lines else ""


@contextlib.contextmanager
def quiet() -> Iterator[Chatter]:
    """Send everything this process prints into a temporary file, and silence warnings.

    File descriptors belong to the whole process: another thread that prints meanwhile is held
    back too.

    Yields:
        The chatter so far; readable until the block ends.
    """
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as file,
        warnings.catch_warnings(),
        _descriptors_to(file),
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        warnings.simplefilter("ignore")
        yield Chatter(file)


@contextlib.contextmanager
def _descriptors_to(file: IO[str]) -> Iterator[None]:
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
    try:
        for descriptor in kept:
            os.dup2(file.fileno(), descriptor)
        yield
    finally:
        for descriptor, copy in kept.items():
            os.dup2(copy, descriptor)
            os.close(copy)
