"""Task and settings that do not go together, found before a run has a directory.

The parts of a run check the same when they are built, for whoever builds them otherwise.
"""

from __future__ import annotations

import numpy as np
import torch

from frugalfl.blocks import Layout
from frugalfl.errors import TaskError
from frugalfl.form import Form
from frugalfl.kinds import Scoring
from frugalfl.modules import read_parameters
from frugalfl.private import split
from frugalfl.settings import Settings
from frugalfl.task import Examples, Task
from frugalfl_server.phases.public_rows import check_counters, is_federated
from frugalfl_server.rounds.adaptive_steps import check_inside
from frugalfl_server.rounds.evaluate import check_batches, evaluate, form_of, scoring_for
from frugalfl_server.rounds.flower_strategies import strategy_of
from frugalfl_server.rounds.stopping import check_stop
from frugalfl_server.rounds.strategy_state import begin_of
from frugalfl_server.run.checkpoint import random_state, set_random_state


def check_task(task: Task, settings: Settings) -> None:
    """Refuse what the first round would, and leave all random numbers as they were.

    Args:
        task: Its model is built, its public rows are loaded, and its hooks are called.
        settings: Of the run that is about to be made.

    Raises:
        TaskError: The task is wrong, or not for these settings.
        UsageError: A setting is not for this task.
    """
    drawn = random_state()
    try:
        if settings.train.trees:
            rows_for_trees(task, settings)
        else:
            _check_network(task, settings)
    finally:
        set_random_state(drawn)


def rows_for_trees(task: Task, settings: Settings) -> Examples:
    """Return the server's rows for trees.

    Raises:
        TaskError: There are none, or they are not of two classes.
    """
    test = task.public_rows(settings.train.shares_counters).test
    if test.y.ndim != 1 or not np.isin(test.y, (0, 1)).all():
        raise TaskError(
            f"task {task.name!r}: trees need targets 0 and 1, one a row; leave trees empty "
            "for other tasks"
        )
    return test


def check_measured(
    task: Task, settings: Settings, module: torch.nn.Module, rows: Examples, scoring: Scoring
) -> Form:
    """See that models can be measured and trained as the settings say; return what rows look like.

    Args:
        task: The task.
        settings: Of the run.
        module: A model of the task.
        rows: The server's, or what stands for the clients'.
        scoring: What models are measured by.

    Raises:
        TaskError: A metric fails, or batches are too small.
        UsageError: A limit goes by a measure that there is not.
    """
    if task.has_public_rows and task.metrics:
        evaluate(module, rows, scoring)  # a metric that fails, fails now
    form = form_of(module, rows, scoring)
    check_stop(settings, scoring, bool(settings.wire.private) or not task.has_public_rows)
    check_batches(settings, form)
    return form


def _check_network(task: Task, settings: Settings) -> None:
    first = task.new_model()
    shared, _ = split(read_parameters(first), settings.wire.private)
    if settings.wire.subspace is None:
        settings.wire.plan.check(Layout.of(shared))
    else:
        settings.wire.subspace.of_model(shared, settings.run.seed, fold=0)
    strategy = strategy_of(settings, task)
    if settings.wire.subspace is not None:
        check_inside(strategy)
        begin_of(strategy)
    check_counters(task, settings)
    if task.has_public_rows:
        public = task.public_rows(settings.train.shares_counters)
        scoring = scoring_for(task, first, public.test, task.whose_rows)
        check_measured(task, settings, first, public.test, scoring)
        is_federated(settings, public)
