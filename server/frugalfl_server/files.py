"""When files changed, and how their paths are typed."""

from __future__ import annotations

import os
from pathlib import Path


def changed_ns(path: Path) -> int:
    """Return when a file was last written (ns since 1970); 0: it is not there."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def short_path(path: Path) -> Path:
    """Return a path as it is typed in the working folder."""
    here = Path.cwd()
    return Path(os.path.relpath(path, here)) if path.is_relative_to(here) else path
