"""A file on the device's disk that belongs to one run: the next run's takes its place."""

from __future__ import annotations

from pathlib import Path

from frugalfl.atomic import write_atomically
from frugalfl.errors import RunError


def keep(path: Path, run: str, data: bytes, what: str) -> None:
    """Replace what is kept, all of it or nothing.

    Args:
        path: The file.
        run: Name of the run.
        data: Any bytes.
        what: Named in the message, e.g. ``"the trees of this run"``.

    Raises:
        RunError: The disk does not take it.
    """
    try:
        write_atomically(path, run.encode() + b"\n" + data)
    except OSError as error:
        raise RunError(f"cannot keep {what}: {error}") from error


def kept(path: Path, run: str) -> bytes | None:
    """Return what is kept of a run; ``None``: nothing, or it cannot be read."""
    try:
        name, _, data = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    return data if name == run.encode() else None
