"""What would fail after the last round, found before the first: checks on shapes, in seconds.

A check is a function of the task, the settings and some rows. It yields one line for each thing
that goes otherwise than a person would expect, and raises an error of this project if the run
cannot end well. What it finds must follow from shapes and rows, never from the values of weights.
To add a check, write it in a file of its own and name it in :data:`CHECKS`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial

import torch

from frugalfl.settings import Settings
from frugalfl.task import Examples, Task
from frugalfl_server.phases.check_export import check_export
from frugalfl_server.phases.check_inputs import check_inputs
from frugalfl_server.phases.federation import Federation
from frugalfl_server.phases.load_libraries import PHASE as SET_UP
from frugalfl_server.phases.program_check import check_program
from frugalfl_server.phases.prune import check_pruning

_log = logging.getLogger(__name__)

#: ``(task, settings, rows)`` to lines for a person; every check must leave the rows as they are.
Check = Callable[[Task, Settings, Examples], Iterable[str]]

#: In the order in which their lines are printed.
CHECKS: tuple[Check, ...] = (check_pruning, check_inputs, check_export, check_program)


def try_on_shapes(federation: Federation) -> None:
    """Find before the first round what would go wrong after the last one."""
    with_runs_own = partial(check_program, compiling=federation.compiling)
    checks = [with_runs_own if check is check_program else check for check in CHECKS]
    with federation.energy.window(SET_UP, round=0):
        lines = dry_run(federation.task, federation.settings, federation.public.test, checks)
    federation.sink.add_energy(federation.energy.take())
    for line in lines:
        _log.warning(line)


def dry_run(
    task: Task, settings: Settings, rows: Examples, checks: Iterable[Check] = CHECKS
) -> list[str]:
    """Run every check, and leave PyTorch's random numbers as they were.

    Args:
        task: Its ``model()`` is called, several times.
        settings: Of the run that is about to begin.
        rows: Some rows of the task, such as the public test rows.
        checks: Which ones.

    Returns:
        Lines to print before the first round.

    Raises:
        FrugalFLError: The run cannot end well; the message says what to change.
    """
    with torch.random.fork_rng(devices=[]):
        return [line for check in checks for line in check(task, settings, rows)]
