"""A finished run whose model does not fit: which pruning would, and the command that gets it."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from frugalfl.settings import Settings
from frugalfl.task import Task
from frugalfl_server.export import DeviceBudget, fit
from frugalfl_server.phases.public_rows import public_of
from frugalfl_server.run.app_directory import read_settings
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.file_times import short_path

#: Of no meaning, or given anew, where a run only prunes and recovers.
_NOT_CARRIED_ON = ("rounds", "start-from", "prune")


def how_to_fit(
    run: RunDirectory,
    module: torch.nn.Module,
    task: Task,
    settings: Settings,
    app: Path,
    say: Callable[[str], None],
) -> str:
    """Say which pruned model fits, and the command that prunes and trains it on.

    Args:
        run: The finished run.
        module: Its newest model.
        task: Its task.
        settings: Its settings, with the budget that the model is over.
        app: Folder of its app.
        say: Takes a line about each model that was tried.

    Raises:
        OverBudgetError: No pruned model fits.
    """
    example = torch.from_numpy(public_of(task, settings, run).test.x[:1])
    found = fit(module, example, DeviceBudget.of_settings(settings), say)
    return (
        f"pruned from {found.report.parameters_before:,} to {found.report.parameters_after:,} "
        f"parameters it fits: {_command(run, settings, app)}"
    )


def _command(run: RunDirectory, settings: Settings, app: Path) -> str:
    own = read_settings(app).as_config()
    changes: dict[str, Any] = {"start-from": short_path(run.path), "rounds": 0}
    changes |= {
        key: value
        for key, value in settings.as_config().items()
        if key not in (*_NOT_CARRIED_ON, *run.chosen) and value != own[key]
    }
    words = [str(short_path(app)), *(f"{key}={value}" for key, value in changes.items())]
    return f"frugalfl simulate {shlex.join(words)}"
