"""Export the newest model of a run that exists."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from frugalfl.errors import ExportError, OverBudgetError, RunError
from frugalfl.kinds import unknown_scores
from frugalfl.modules import read_parameters
from frugalfl.settings import Settings
from frugalfl.task import Examples, FloatArray, Task, load_task
from frugalfl_server.export import DeviceBudget, ExportResult, export_model, gates
from frugalfl_server.export.drawn import MIN_SQNR_DB, drawn_rows
from frugalfl_server.phases.federation import Federation
from frugalfl_server.phases.initial_model import newest_model
from frugalfl_server.phases.kept_ranges import kept_ranges
from frugalfl_server.phases.public_rows import is_federated, public_of
from frugalfl_server.phases.suggest_pruning import how_to_fit
from frugalfl_server.report import write_report
from frugalfl_server.rounds.evaluate import scoring_for
from frugalfl_server.run import summary
from frugalfl_server.run.app_of_run import app_of
from frugalfl_server.run.directory import RunDirectory, blaming
from frugalfl_server.run.file_times import check_writable
from frugalfl_server.run.kept_app import why_not
from frugalfl_server.run.outcomes import write_outcomes
from frugalfl_server.run.sealed import write_sealed

if TYPE_CHECKING:
    import torch

_log = logging.getLogger(__name__)


def export(federation: Federation, module: torch.nn.Module) -> None:
    """Export the final model into the run's ``model`` folder.

    Raises:
        ExportError: It cannot be converted, or does not pass its checks.
    """
    _log.info("export: convert, quantize to int8, run the same rows in every form")
    federation.set_up("export")
    run = federation.run
    with federation.energy.window("export", round=federation.last_round):
        result = export_into(run, module, federation.task, federation.settings, run.path / "model")
    federation.sink.add_energy(federation.energy.take())
    if result.verification.unchecked:
        _log.warning(result.verification.unchecked)


def export_run(
    path: Path,
    out: Path | None,
    budget: Mapping[str, str | int] | None = None,
    say: Callable[[str], None] = lambda _: None,
    activations: str | None = None,
    calibration: Examples | None = None,
    app: Path | None = None,
) -> ExportResult:
    """Export a run's newest checkpoint, pruned or not.

    Args:
        path: The run directory.
        out: Where to write; by default the run's own ``model`` folder.
        budget: ``target``, ``flash``, ``ram`` and ``macs``, all four, in place of those in the
            run's settings.
        say: Takes a line about each step of a search.
        activations: ``int8`` or ``int16``; by default what the run's settings say.
        calibration: Rows that int8 ranges are of; by default what the run has.
        app: Folder of its app; by default where the run says that it is, or in the run itself.

    Raises:
        RunError: No run, no checkpoint, or the app that it came from is not known.
        UsageError: A budget that cannot be read.
        ExportError: The model cannot be converted or does not pass its checks, or has private
            blocks.
        OverBudgetError: It does not fit; the message says what would, and how to get it.
    """
    run = RunDirectory.open(path)
    check_writable(run.path / "model" if out is None else out)
    app, status = app or app_of(run), run.status()
    if app is None:
        raise RunError(
            f"the app that {path} came from is not at {run.read_json('run.json')['app']}, and "
            f"{why_not(run)}; name its folder: frugalfl export {path} --app FOLDER"
        )
    with blaming(run.path):
        settings = Settings.of(run.read_json("run.json")["settings"])
    if activations is not None:
        settings = replace(settings, activations=activations)
    if settings.private:
        raise ExportError(f"{path} cannot be exported: {why_private_is_not_exported(settings)}")
    settings = replace(settings, **(budget or {}))  # type: ignore[arg-type]
    run.load_checkpoint()  # before the task is imported: this is the likelier mistake
    sys.path.insert(0, str(app))
    task = load_task(settings.task)
    module = newest_model(task, run)
    try:
        result = export_into(
            run, module, task, settings, out or run.path / "model", calibration=calibration
        )
    except OverBudgetError as error:
        say(f"{error}; looking for what fits")
        advice = how_to_fit(run, module, task, settings, app, say)
        raise OverBudgetError(f"{error}; {advice}") from error
    if out is None:
        run.write_json("summary.json", summary.of_run(run, *status))
        write_report(run)
    return result


def why_private_is_not_exported(settings: Settings) -> str:
    """Say in one line why a run with private blocks leaves no model to export."""
    return (
        f"blocks {settings.private!r} are private, so the server has no whole model; the shared "
        "blocks are in checkpoints/model.npz, each device has its own private ones"
    )


def export_into(
    run: RunDirectory,
    module: torch.nn.Module,
    task: Task,
    settings: Settings,
    folder: Path,
    ranges: FloatArray | None = None,
    calibration: Examples | None = None,
) -> ExportResult:
    """Export a module, and keep what was measured in ``export.json`` beside the files.

    Args:
        run: The run that it is of.
        module: The trained model.
        task: Its task.
        settings: The run's, or what takes their place.
        folder: Where the files go.
        ranges: Of its activations, shape ``(tensors, 2)``; by default those that the run kept, if
            clients calibrate.
        calibration: Rows whose ranges are taken instead of any of these.

    Raises:
        ExportError: The model cannot be converted or does not pass its checks, or the run has no
            calibration ranges of it.
    """
    card = {"run": run.name, "settings": settings.as_config()}
    public = public_of(task, settings, run)
    if calibration is not None:
        public = replace(public, calibration=calibration)
    elif ranges is None and is_federated(settings, public):
        ranges = kept_ranges(run, read_parameters(module))
    scoring = scoring_for(task, module, public.test, task.whose_rows)
    least_db = gates.MIN_SQNR_DB
    if not task.has_public_rows and ranges is not None:
        x = drawn_rows(module, ranges, public.test.x.shape[1:])
        rows = Examples(x, np.resize(public.test.y, (len(x), *public.test.y.shape[1:])))
        public, least_db = replace(public, test=rows), MIN_SQNR_DB
        scoring = unknown_scores(scoring)
    result = export_model(
        module,
        name=task.name,
        public=public,
        folder=folder,
        model_card=card,
        ranges=ranges,
        activations=settings.activations,
        budget=DeviceBudget.of_settings(settings),
        scoring=scoring,
        about=task.about,
        min_sqnr_db=least_db,
        drawn=not task.has_public_rows,
    )
    write_sealed(folder / "export.json", result.to_dict(), shared=True)
    if task.has_public_rows:
        write_outcomes(folder, result.verification.outcomes)
    return result
