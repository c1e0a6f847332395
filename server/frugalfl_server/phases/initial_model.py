"""Where a federation's weights begin: as the task makes them, or in another run's model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from frugalfl.blocks import Parameters, Shape
from frugalfl.codec.seeded import draw_again
from frugalfl.errors import RunError, TaskError, UsageError
from frugalfl.modules import read_parameters, write_parameters
from frugalfl.private import split
from frugalfl.resize import resize
from frugalfl.settings import Settings
from frugalfl.task import Task
from frugalfl_server.run.directory import RunDirectory


def pin_start(settings: Settings, task: Task) -> Settings:
    """Return the settings with ``start-from`` as a full path, checked before a new run is made.

    ``runs/latest`` would otherwise be the new run itself.

    Raises:
        RunError: No such run, or one without a model.
        UsageError: A run of another task, or one with private blocks.
    """
    if not settings.run.start_from:
        return settings
    run = RunDirectory.open(Path(settings.run.start_from))
    about = run.read_json("run.json")
    if about["task"] != task.name:
        raise UsageError(
            f"start-from {settings.run.start_from} is a run of the task {about['task']!r}, "
            f"not of {task.name!r}"
        )
    if about["settings"].get("private"):
        raise UsageError(
            f"start-from {settings.run.start_from} has private blocks, so it left no whole model"
        )
    if not run.has_checkpoint:
        raise RunError(
            f"start-from {settings.run.start_from} has no model to begin with: it stopped before "
            "its first round was over"
        )
    return settings.changed(start_from=str(run.path))


def initial_model(task: Task, settings: Settings) -> torch.nn.Module:
    """Build the model that the first round begins with.

    Its weights depend on the settings only, or are those of the run that ``start-from`` names.

    Raises:
        RunError: That run's model cannot be read.
        TaskError: It is not a model of this task.
    """
    if settings.run.start_from:
        return newest_model(task, RunDirectory.open(Path(settings.run.start_from)))
    torch.manual_seed(settings.run.seed)
    return _seeded(task.new_model(), settings)


def newest_model(task: Task, run: RunDirectory) -> torch.nn.Module:
    """Build the task's model with a run's newest weights, pruned or not.

    Raises:
        RunError: The run has no model, or it cannot be read.
        TaskError: It is not a model of this task.
    """
    try:
        return model_with(task, run.load_checkpoint())
    except TaskError as error:
        raise TaskError(f"the model of {run.path} is not this task's: {error}") from error


def model_with(task: Task, parameters: Parameters) -> torch.nn.Module:
    """Build the task's model with these weights, pruned or not.

    Raises:
        TaskError: They are not of a model of this task.
    """
    module = resize(task.new_model(), {name: tensor.shape for name, tensor in parameters.items()})
    write_parameters(module, parameters)
    return module


def slim_model(task: Task, settings: Settings, shapes: Mapping[str, Shape]) -> torch.nn.Module:
    """Build a pruned model's architecture with fresh weights, as if it had never been larger.

    Args:
        task: Whose model was pruned.
        settings: Its seed decides the weights.
        shapes: Of every floating-point tensor of the pruned state, by name.

    Raises:
        TaskError: A layer that became narrower has no way to begin anew.
    """
    torch.manual_seed(settings.run.seed)
    module = task.new_model()
    before = {name: tensor.shape for name, tensor in module.state_dict().items()}
    resize(module, shapes)
    narrower = {
        name.rpartition(".")[0]
        for name, tensor in module.state_dict().items()
        if tensor.shape != before[name]
    }
    for name in sorted(narrower):
        layer: Any = module.get_submodule(name)
        if not hasattr(layer, "reset_parameters"):
            raise TaskError(
                f"no slim model: {name or 'the model'!r} ({type(layer).__name__}) became narrower "
                "and has no reset_parameters() to begin with fresh weights"
            )
        layer.reset_parameters()
    return _seeded(module, settings)


def _seeded(module: torch.nn.Module, settings: Settings) -> torch.nn.Module:
    if settings.run.initial == "seeded":
        shared, _ = split(read_parameters(module), settings.wire.private)
        write_parameters(module, draw_again(shared, settings.run.seed))
    return module
