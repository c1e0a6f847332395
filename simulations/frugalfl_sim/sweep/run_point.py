"""One run of a sweep: begun, or gone on with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path

from frugalfl.errors import FrugalFLError, Interrupted, RunError
from frugalfl.settings import Settings
from frugalfl.task import load_task
from frugalfl_server.run.app_directory import importable
from frugalfl_server.run.resume import refuse_unresumable, settings_of
from frugalfl_sim.simulate import simulate_app


@dataclass(frozen=True)
class Work:
    """What a process needs to know of one run.

    Attributes:
        number: Place among the points.
        app: The app's folder.
        config: All settings, by key.
        runs: Folder that its run directory goes into.
        begun: A run directory of these settings, not finished; ``None``: there is none.
    """

    number: int
    app: Path
    config: dict[str, str | int | float | bool]
    runs: Path
    begun: Path | None


@contextmanager
def app_kept(app: Path, task: str) -> Iterator[None]:
    """Keep the app's modules, and what they read of their data, from one run to the next."""
    with importable(app):
        load_task(task)
        yield


def run(work: Work) -> str:
    """Run it to its end; return why it failed, or nothing.

    Its progress lines are in the run directory only.

    Raises:
        Interrupted: Ctrl-C came; what was finished is kept.
    """
    settings = Settings.of(work.config)
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stderr(nowhere):
        try:
            begun = _resumable(work.begun)
            simulate_app(work.app, settings, work.runs, baseline=False, resume=begun)
        except Interrupted:
            raise
        except FrugalFLError as error:
            return str(error)
    return ""


def _resumable(run: Path | None) -> Path | None:
    if run is None:
        return None
    try:
        refuse_unresumable(settings_of(run)[0])
    except RunError:
        return None  # an asynchronous one, or a damaged one, is begun anew beside it
    return run
