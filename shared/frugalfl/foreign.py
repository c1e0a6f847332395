"""Files that another machine or another person wrote: bounded, and never code.

JSON may be nested a million times, a path may lead to a pipe that never ends, and a few kilobytes
may unpack to gigabytes. Arrays are in :mod:`frugalfl.foreign_arrays`.
"""

from __future__ import annotations

import json
import os
import stat
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

#: Largest text that is read: JSON of a run (B).
MOST_TEXT_BYTES = 64 << 20
#: Largest file that is read at all (B).
MOST_BYTES = 2 << 30
#: Most entries in an archive.
MOST_ENTRIES = 65_536
#: An entry of a compressed archive may be so many times larger than in the file.
_MOST_RATIO = 200
#: So large an entry may be, whatever its ratio (B): a thousand zeros do no harm.
_ALWAYS_BYTES = 1 << 20


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """Return the content of a regular file.

    Raises:
        OSError: It cannot be read.
        ValueError: It is a pipe or a device, or larger than ``most`` (B).
    """
    with open_regular(path) as file:
        # A buffer is made for as much as is asked for: no larger than the file.
        data = file.read(min(os.fstat(file.fileno()).st_size, most) + 1)
    if len(data) > most:
        raise ValueError(f"it is larger than {most:,} B")
    return data


def read_json(path: Path, most: int = MOST_TEXT_BYTES) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        OSError: The file cannot be read.
        ValueError: It holds something else, or is too large or nested too deeply.
    """
    try:
        value = json.loads(read_bytes(path, most))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("it holds no object")
    return value


def open_regular(path: Path) -> BinaryIO:
    """Open a file that has an end: a pipe would be waited for, a device may never stop.

    Raises:
        OSError: It cannot be opened.
        ValueError: It is no regular file.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ValueError("it is no regular file")
    return os.fdopen(handle, "rb")


def check_archive(entries: Sequence[zipfile.ZipInfo], most: int = MOST_BYTES) -> None:
    """See what an archive unpacks to, before it is unpacked.

    Raises:
        ValueError: It holds too much, or one entry is too much for its size in the file.
    """
    size = sum(entry.file_size for entry in entries)
    if len(entries) > MOST_ENTRIES or size > most:
        raise ValueError(f"it holds {len(entries):,} entries of {size:,} B, more than {most:,} B")
    for entry in entries:
        if entry.file_size > max(_ALWAYS_BYTES, _MOST_RATIO * entry.compress_size):
            raise ValueError(f"{entry.filename!r:.60} unpacks to {entry.file_size:,} B")
