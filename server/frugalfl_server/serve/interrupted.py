"""Ctrl-C while a run is served: its process is ended, its figures and the next step are told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from frugalfl.errors import Interrupted, RunError
from frugalfl_server.run import summary
from frugalfl_server.run.checkpoint import FILE
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.file_times import short_path
from frugalfl_server.run.resume import claimed, go_back_to_checkpoint, refuse_unresumable
from frugalfl_server.serve.again import Watch


@contextmanager
def telling_how_to_go_on(run: RunDirectory) -> Iterator[None]:
    """Keep what is known of a run when its user interrupts the ``with`` block.

    Raises:
        Interrupted: The user pressed Ctrl-C; the message says how to go on.
    """
    watch = Watch(run)
    try:
        yield
    except KeyboardInterrupt as error:
        watch.end()
        raise Interrupted(_keep_run(run)) from error


def _keep_run(run: RunDirectory) -> str:
    """Bring a run to its checkpoint, write its summary, and say where it is and how to go on."""
    run = RunDirectory.open(run.path)
    if run.status()[0] == "finished":
        return f"interrupted once the run was over; it is in {short_path(run.path)}"
    with claimed(run):
        if os.path.lexists(run.path / FILE):
            go_back_to_checkpoint(run)
            run.flush()
        run.write_json("summary.json", summary.of_run(run, "interrupted", None))
    told = f"interrupted after {len(run.rounds)} rounds; they are in {short_path(run.path)}"
    try:
        refuse_unresumable(run)
    except RunError as error:
        return f"{told}; {error}"
    return f"{told}; go on with: frugalfl serve --resume {short_path(run.path)}"
