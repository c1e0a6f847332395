"""Keep the chatter of C++ libraries off the terminal.

The converter and TFLite log from C++ straight to file descriptors 1 and 2, where Python's own
redirection cannot see them.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import warnings
from collections.abc import Iterator
from typing import IO


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop everything this process prints meanwhile, and silence warnings.

    File descriptors belong to the whole process: what another thread prints is dropped too.
    """
    nowhere = _nowhere()
    with (
        warnings.catch_warnings(),
        _descriptors_to(nowhere),
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        warnings.simplefilter("ignore")
        yield


@functools.cache
def _nowhere() -> IO[str]:
    """Return one stream for good: a log handler made meanwhile keeps it, and must find it open."""
    return open(os.devnull, "w", encoding="utf-8")


@contextlib.contextmanager
def _descriptors_to(file: IO[str]) -> Iterator[None]:
    kept = {stream: os.dup(stream) for stream in (1, 2)}
    _flush()
    try:
        for stream in kept:
            os.dup2(file.fileno(), stream)
        yield
    finally:
        # Handlers made earlier may still hold text for these descriptors.
        _flush()
        for stream, copy in kept.items():
            os.dup2(copy, stream)
            os.close(copy)


def _flush() -> None:
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            stream.flush()
