"""The sums of all clients' counters, on the device's disk: those of one run at a time."""

from __future__ import annotations

from pathlib import Path

from frugalfl.errors import FrameError, RunError
from frugalfl.sums import Table, unpack_tables
from frugalfl_client.kept_file import keep, kept

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
    keep(folder / _FILE, run, data, "the sums of the counters")


def totals_of(folder: Path, run: str) -> dict[str, Table]:
    """Return the sums of a run.

    Raises:
        RunError: They are not here, or damaged.
    """
    data = kept(folder / _FILE, run)
    if data is None:
        raise RunError(
            "this device has not got the sums of the counters, which were shared before the first "
            "round; it can take part in the next run"
        )
    try:
        return unpack_tables(data)
    except FrameError as error:
        raise RunError(f"the sums of the counters on this device are damaged: {error}") from error
