"""The sums of all clients' counters, on the device's disk: those of one run at a time."""

from __future__ import annotations

import os
from pathlib import Path

from frugalfl.errors import FrameError, RunError
from frugalfl.sums import Table, unpack_tables

_FILE = "totals.bin"


def keep_totals(folder: Path, run: str, data: bytes) -> None:
    """Keep the sums of a run, in place of those of any other.

    Args:
        folder: The device's.
        run: Name of the run.
        data: Packed tables.

    Raises:
        RunError: The disk does not take them.
    """
    part = folder / f"{_FILE}.part"
    try:
        part.write_bytes(run.encode() + b"\n" + data)
        os.replace(part, folder / _FILE)
    except OSError as error:
        raise RunError(f"cannot keep the sums of the counters: {error}") from error


def totals_of(folder: Path, run: str) -> dict[str, Table]:
    """Return the sums of a run.

    Raises:
        RunError: They are not here, or damaged.
    """
    try:
        name, _, data = (folder / _FILE).read_bytes().partition(b"\n")
    except OSError:
        name, data = b"", b""
    if name != run.encode():
        raise RunError(
            "this device has not got the sums of the counters, which were shared before the first "
            "round; it can take part in the next run"
        )
    try:
        return unpack_tables(data)
    except FrameError as error:
        raise RunError(f"the sums of the counters on this device are damaged: {error}") from error
