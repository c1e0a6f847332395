"""Whether clients without PyTorch can train the run's model, found before its first round."""

from __future__ import annotations

from collections.abc import Iterator

from frugalfl import wire
from frugalfl.blocks import Layout
from frugalfl.errors import ExportError
from frugalfl.modules import read_parameters
from frugalfl.settings import Settings
from frugalfl.task import Examples, Task
from frugalfl_server.cohort.training_programs import TrainingPrograms
from frugalfl_server.phases.initial_model import initial_model


def check_program(task: Task, settings: Settings, rows: Examples) -> Iterator[str]:
    """Compile the training step of the whole model if no client has PyTorch; yields nothing.

    With ``trainer = "auto"`` nobody knows yet who lacks it; such a client's first round says so.

    Raises:
        ExportError: It cannot be compiled, or does not do what PyTorch does.
    """
    if settings.train.trainer != wire.LITERT:
        return
    module = initial_model(task, settings)
    programs = TrainingPrograms(task, settings, rows)
    programs.follow(module)
    layout = Layout.of(read_parameters(module))
    proximal = settings.rounds.proximal
    try:
        programs.program_for(layout.names(range(len(layout))), proximal)
    except ExportError as error:
        raise ExportError(
            f"trainer is litert, and this model's training step cannot be compiled: {error}; or "
            "install PyTorch on the clients and set trainer = auto"
        ) from error
    yield from ()
