"""When files changed, and how their paths are typed."""

from __future__ import annotations

import os
from pathlib import Path

from frugalfl.errors import RunError


def changed_ns(path: Path) -> int:
    """Return when a file was last written (ns since 1970); 0: it is not there."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def check_writable(folder: Path) -> None:
    """See that files can be put into a folder, made where it is missing, before it takes long.

    Raises:
        RunError: They cannot.
    """
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if not os.access(there, os.W_OK | os.X_OK):
        raise RunError(f"cannot write to {folder}: {there} is read-only for you; name another one")


def short_path(path: Path) -> Path:
    """Return a path as it is typed in the working folder."""
    here = Path.cwd()
    return Path(os.path.relpath(path, here)) if path.is_relative_to(here) else path
