"""``engine = "auto"`` in a simulation: a round's clients at once, if model and trainer allow it.

The choice becomes the run's setting: the run is resumed, and can be repeated, by the same engine.
"""

from __future__ import annotations

from pathlib import Path

from flwr.clientapp import ClientApp

from frugalfl.errors import UsageError
from frugalfl.settings import Settings
from frugalfl.task import Task
from frugalfl_client.app import app as own_app
from frugalfl_server.run.directory import Chosen
from frugalfl_sim.engine.fleet import Fleet

#: Whoever simulates waits for the wall clock, and a cohort trains several times faster than a
#: training program. Which trainer takes fewer joules is a question about one device that trains
#: alone: the sequential engine asks it.
_TORCH_AT_ONCE = "torch (all at once; engine=sequential finds out what costs a device less)"
_KEY, _COHORT, _SEQUENTIAL = "engine", "cohort", "sequential"


def choose_engine(task: Task, settings: Settings, client_app: ClientApp) -> tuple[Settings, Chosen]:
    """Return settings with an engine in place of ``auto``, and what to tell of it.

    Args:
        task: Its model is built and tried.
        settings: Of the run that is about to be made.
        client_app: What clients run.

    Raises:
        UsageError: The cohort is asked for, and cannot be.
        TaskError: The model cannot be built.
    """
    asked = settings.simulation.engine
    if asked == _SEQUENTIAL:
        return settings, {}
    why_not = _why_not(task, settings, client_app)
    if why_not and asked == _COHORT:
        raise UsageError(f"engine = cohort cannot be: {why_not}; leave engine out")
    if why_not:
        return settings.changed(engine=_SEQUENTIAL), {_KEY: f"{_SEQUENTIAL} ({why_not})"}
    told = {} if asked == _COHORT else {_KEY: f"{_COHORT} (a round's clients at once)"}
    if settings.train.trainer == "auto":
        told["trainer"] = _TORCH_AT_ONCE
    return settings.changed(engine=_COHORT, trainer="torch"), told


def fleet_of(task: Task, settings: Settings, folder: Path) -> Fleet | None:
    """Return what the clients of a run have in common; ``None``: each is on its own.

    Args:
        task: The run's.
        settings: With an engine in them.
        folder: Of the devices.

    Raises:
        RunError: Their files cannot be opened.
        TaskError: The model cannot be built.
    """
    if settings.simulation.engine != _COHORT:
        return None
    from frugalfl_sim.engine.cohort import CohortTrainer

    return Fleet(folder, CohortTrainer(task, settings))


def _why_not(task: Task, settings: Settings, client_app: ClientApp) -> str:
    """Say why clients cannot train at once; empty: they can."""
    if settings.train.trees:
        return "trees are grown client by client"
    if settings.train.trainer == "litert":
        return "training programs run client by client"
    if client_app is not own_app:
        return "the app's clients have code of their own"
    from frugalfl_sim.engine.cohort import CohortTrainer

    return CohortTrainer(task, settings).why_not
