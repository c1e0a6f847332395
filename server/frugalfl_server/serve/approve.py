"""What a device has to run for an app: the bundle, and every training program of its settings."""

from __future__ import annotations

import hashlib
import logging
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from torch.nn import Module

from frugalfl.approved import Approved, ApprovedApp, ApprovedProgram
from frugalfl.blocks import Layout
from frugalfl.errors import ExportError
from frugalfl.modules import read_parameters
from frugalfl.settings import Settings
from frugalfl.task import PublicData, Task, load_task
from frugalfl_server.cohort.training_programs import (
    Coordinates,
    TrainingPrograms,
    trained_within,
)
from frugalfl_server.export import DeviceBudget, fit
from frugalfl_server.phases.choose_refresh import choose_refresh
from frugalfl_server.phases.initial_model import initial_model
from frugalfl_server.phases.prune import example_of, plan_for, prune_as_planned
from frugalfl_server.run.app_directory import importable
from frugalfl_server.run.pack_app import bundle_of, pack
from frugalfl_server.serve.block_sets import block_sets

_log = logging.getLogger(__name__)

#: Most programs that are compiled; each takes seconds, and a device would keep few of them.
_MOST_PROGRAMS = 64


def approve(app: Path, settings: Settings) -> Approved:
    """Pack an app and compile its training programs, as a server with these settings would.

    Args:
        app: Folder of a Flower app.
        settings: Of the runs to be approved; those that no program depends on may differ later.

    Raises:
        ExportError: The settings can lead to more programs than can be compiled, or the model
            cannot be pruned.
        TaskError: The task cannot be loaded.
        UsageError: The app cannot be packed, or the refresh plan is not for this model.
    """
    with tempfile.TemporaryDirectory() as folder:
        hashes = {
            "frugalfl serve": pack(app, Path(folder) / "app").digest,
            "flwr run": hashlib.sha256(bundle_of(app)).hexdigest(),
        }
    name = _name_of(app)
    apps = tuple(ApprovedApp(f"{name}, as {how} sends it", one) for how, one in hashes.items())
    for one in apps:
        _log.info(f"app {one.name}: {one.hash}")
    with importable(app):
        task = load_task(settings.run.task)
        settings, chosen = choose_refresh(task, settings)
        for key, choice in chosen.items():
            _log.info(f"{key} = {choice}")
        return Approved(apps, tuple(_programs(task, settings)))


def _name_of(app: Path) -> str:
    project = tomllib.loads((app / "pyproject.toml").read_text(encoding="utf-8"))
    about = project["project"]
    return f"{project['tool']['flwr']['app']['publisher']}/{about['name']} {about['version']}"


def _programs(task: Task, settings: Settings) -> Iterator[ApprovedProgram]:
    """Compile the programs of all phases, one after the other."""
    why = _none_is_needed(settings)
    if why:
        _log.info(f"no training programs: {why}")
        return
    public = task.public_rows(settings.train.shares_counters)
    figures: list[dict[str, Any]] = []
    compiler = TrainingPrograms(task, settings, public.test, figures.append)
    for phase, module in _models(task, settings, public):
        compiler.follow(module)
        for one in _purposes(settings, module):
            try:
                sent = compiler.program_for(one.trained, one.proximal, one.coordinates)
            except ExportError as error:
                _log.info(f"no training programs, so only clients with PyTorch can train: {error}")
                return
            made = ApprovedProgram(f"{phase}: {one.name}", sent.digest)
            _log.info(f"program {made.purpose}: {made.digest} ({len(sent.file)} B)")
            yield made


def _none_is_needed(settings: Settings) -> str:
    if settings.train.trees:
        return "trees are grown without any"
    if settings.train.trainer == "torch":
        return "every client trains with PyTorch"
    return "private blocks need PyTorch" if settings.wire.private else ""


def _models(task: Task, settings: Settings, public: PublicData) -> Iterator[tuple[str, Module]]:
    """Return the model of each phase; the shapes of a pruned one do not depend on its weights."""
    module = initial_model(task, settings)
    yield "train", module
    ratio = settings.export.prune
    budget = DeviceBudget.of_settings(settings)
    if budget.limited:
        ratio = fit(module, example_of(public.test), budget, _log.info).ratio
    if ratio and (plan := plan_for(task, settings, public.test, ratio)).narrowed:
        yield "recover", prune_as_planned(plan, task, module, public.test)[0]


class _Purpose(NamedTuple):
    """What a program is for: in words, the tensors, FedProx's term or not, their coordinates."""

    name: str
    trained: tuple[str, ...]
    proximal: bool
    coordinates: Coordinates = ()


def _purposes(settings: Settings, module: Module) -> Iterator[_Purpose]:
    """Return what is trained of a model.

    Calibration takes any program of the model, or one that trains all of it.
    """
    parameters = read_parameters(module)
    layout = Layout.of(parameters)
    if settings.wire.subspace is None:
        chosen = _chosen_blocks(settings, layout)
    else:
        trained, counts = trained_within(settings.wire.subspace, parameters, settings.run.seed)
        has_term = settings.rounds.proximal
        yield _Purpose(settings.wire.refresh + ", proximal" * has_term, trained, has_term, counts)
        chosen = {(layout.everything, False)}
    for numbers, has_term in sorted(chosen):
        names = [layout.blocks[number].name for number in numbers]
        what = "all blocks" if numbers == layout.everything else ", ".join(names)
        yield _Purpose(what + ", proximal" * has_term, tuple(layout.names(numbers)), has_term)


def _chosen_blocks(settings: Settings, layout: Layout) -> set[tuple[tuple[int, ...], bool]]:
    """Return the sets of blocks that rounds ask for, with FedProx's term or without.

    Raises:
        ExportError: They are too many.
    """
    rounds = settings.rounds.count + settings.export.recover_rounds
    plan = settings.wire.plan
    plan.check(layout)
    sets = block_sets(plan, layout, settings.run.seed, rounds)
    chosen = {(one, settings.rounds.proximal) for one in sets}
    chosen.add((layout.everything, False))
    if len(chosen) > _MOST_PROGRAMS:
        raise ExportError(
            f"refresh = {settings.wire.refresh!r} can lead to {len(chosen)} programs, at most "
            f"{_MOST_PROGRAMS} are compiled: choose a plan with fewer, or let devices pin theirs"
        )
    return chosen
