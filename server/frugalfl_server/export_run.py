"""Export the newest model of a run that exists."""

from __future__ import annotations

import sys
from pathlib import Path

from frugalfl.errors import RunError
from frugalfl.modules import write_parameters
from frugalfl.resize import resize
from frugalfl.settings import Settings
from frugalfl.task import load_task
from frugalfl_server.app import initial_model
from frugalfl_server.export import ExportResult, export_model
from frugalfl_server.run_directory import RunDirectory


def export_run(path: Path, out: Path | None) -> ExportResult:
    """Export a run's newest checkpoint, pruned or not.

    Args:
        path: The run directory.
        out: Where to write; by default the run's own ``model`` folder.

    Raises:
        RunError: No run, no checkpoint, or the app that it came from is not known.
        ExportError: The model cannot be converted or does not pass its checks.
    """
    run = RunDirectory.open(path)
    about = run.read_json("run.json")
    if about["app"] is None:
        raise RunError(
            f"{path} does not say which app it came from; run it with `frugalfl simulate`"
        )
    settings = Settings.of(about["settings"])
    parameters = run.load_checkpoint()
    sys.path.insert(0, about["app"])
    task = load_task(settings.task)
    module = resize(
        initial_model(task, settings.seed),
        {name: tensor.shape for name, tensor in parameters.items()},
    )
    write_parameters(module, parameters)
    return export_model(
        module, name=task.name, public=task.public_rows(), folder=out or run.path / "model",
        model_card={"run": run.name, "settings": settings.as_config()},
    )  # fmt: skip
