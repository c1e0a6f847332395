"""Whether clients without PyTorch can train the run's model, found before its first round."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from frugalfl import wire
from frugalfl.blocks import Layout, Parameters
from frugalfl.errors import ExportError
from frugalfl.modules import read_parameters
from frugalfl.settings import Settings
from frugalfl.task import Examples, Task
from frugalfl_server.cohort.training_programs import (
    Compiling,
    Coordinates,
    TrainingPrograms,
    trained_within,
)
from frugalfl_server.phases.initial_model import initial_model


def check_program(
    task: Task, settings: Settings, rows: Examples, compiling: Compiling | None = None
) -> Iterator[str]:
    """Compile the training step of the whole model if no client has PyTorch.

    Yields a line if nobody will measure the model: programs count right classes, and no more. In a
    run that trains a subspace, it is the step of what follows that.

    With ``trainer = "auto"`` nobody knows yet who lacks it; such a client's first round says so.

    Raises:
        ExportError: It cannot be compiled, or does not do what PyTorch does.
    """
    if settings.train.trainer != wire.LITERT:
        return
    module = initial_model(task, settings)
    programs = TrainingPrograms(task, settings, rows, compiling=compiling)
    programs.follow(module)
    trained, coordinates = _trained(settings, read_parameters(module))
    try:
        programs.program_for(trained, settings.rounds.proximal, coordinates)
    except ExportError as error:
        raise ExportError(
            f"trainer is litert, and this model's training step cannot be compiled: {error}; or "
            "install PyTorch on the clients and set trainer = auto"
        ) from error
    measured = task.has_public_rows and not settings.wire.private
    if not measured and not np.issubdtype(rows.y.dtype, np.integer):
        yield (
            "trainer is litert: clients without PyTorch count right classes and measure nothing "
            "else, and the server has no rows of its own, so measures of this task are not known; "
            "give it a public_data(), or install PyTorch and set trainer = auto"
        )


def _trained(settings: Settings, parameters: Parameters) -> tuple[tuple[str, ...], Coordinates]:
    if settings.wire.subspace is not None:
        return trained_within(settings.wire.subspace, parameters, settings.run.seed)
    layout = Layout.of(parameters)
    return tuple(layout.names(layout.everything)), ()
