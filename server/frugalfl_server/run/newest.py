"""A run to look at, with all the rounds that it has finished, if it was killed as well.

Tables are written every few seconds, since each time they are written as a whole; the checkpoint is
written after every round, with the rows that the tables lack. So nothing is lost, and no round
costs a write more: who looks takes these rows from there.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from frugalfl.errors import RunError
from frugalfl_server.run.checkpoint import FILE, read_checkpoint
from frugalfl_server.run.directory import RunDirectory, blaming


def open_newest(path: Path) -> RunDirectory:
    """Open a run; rows that only its checkpoint has are in memory, not on the disk.

    Raises:
        RunError: As of :meth:`RunDirectory.open`. A damaged checkpoint is none: nothing of it is
            needed to look at what the tables have.
    """
    run = RunDirectory.open(path)
    if os.path.lexists(run.path / FILE) and run.status()[0] != "finished":
        with suppress(RunError), blaming(run.path):
            _catch_up(run)
    return run


def _catch_up(run: RunDirectory) -> None:
    """Add the rows of the checkpoint, unless the tables have more: they were written since."""
    position = read_checkpoint(run.path / FILE)["tables"]
    if position["written"][0] + len(position["rounds"]) > len(run.rounds):
        run.go_back_to(position)
