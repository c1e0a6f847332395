"""A federation on one machine: the real ServerApp and ClientApp over the in-process Grid."""

from __future__ import annotations

from pathlib import Path

import torch

from frugalfl.errors import TaskError, UsageError
from frugalfl.settings import Settings
from frugalfl.task import Task, load_task
from frugalfl_client.device import forget_devices
from frugalfl_client.owner import quiet_devices
from frugalfl_server.app import app as server_app
from frugalfl_server.app import keeping_status
from frugalfl_server.phases.check_task import check_task
from frugalfl_server.phases.choose_refresh import choose_refresh
from frugalfl_server.phases.initial_model import pin_start
from frugalfl_server.report import write_report
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.kept_app import keep_app
from frugalfl_server.run.progress import LOG, Progress
from frugalfl_server.run.resume import to_resume, with_choices_of
from frugalfl_sim.apps import importable, quiet_flower
from frugalfl_sim.baseline import run_baseline
from frugalfl_sim.checks import check_simulable, client_of
from frugalfl_sim.choose_engine import choose_engine, fleet_of
from frugalfl_sim.choose_trainer import choose_trainer
from frugalfl_sim.engine.grid import InProcessGrid, server_context
from frugalfl_sim.garbage import rare_collections
from frugalfl_sim.slim import check_slim, run_slim
from frugalfl_sim.world.choose_world import fleet_text, with_devices, world_of


def simulate_app(
    app: Path,
    settings: Settings,
    runs: Path,
    baseline: bool,
    slim: bool = False,
    resume: Path | None = None,
) -> RunDirectory:
    """Run an app's federation to its end, and return the run directory.

    Args:
        app: Folder of a Flower app.
        settings: The app's own, as :func:`~frugalfl_sim.apps.read_settings` reads them.
        runs: Folder for the run directory.
        baseline: Also run Flower's stock FedAvg, and put it beside ours in the report.
        slim: Also train the pruned model's architecture from scratch, and put it there too.
        resume: Directory of a stopped run to go on with; by default the one that the settings name,
            or else a new run begins.

    Raises:
        FrugalFLError: What the branches of :mod:`frugalfl.errors` say; the run directory then
            holds everything up to the last finished round.
    """
    if baseline and settings.wire.private:
        raise UsageError(
            "--baseline has nothing to compare with private blocks: Flower's FedAvg makes one "
            "model for all; leave --baseline out"
        )
    if baseline and not settings.rounds.count:
        raise UsageError("--baseline needs rounds to compare with; leave it out with rounds = 0")
    if slim:
        check_slim(settings)
    check_simulable(settings)
    settings = with_devices(settings)
    # One client trains at a time, on tensors too small to share between threads.
    torch.set_num_threads(1)
    with importable(app), quiet_flower(), quiet_devices(), rare_collections():
        client_app = client_of(app)
        task = load_task(settings.run.task)
        settings = pin_start(settings, task)
        if baseline and not task.has_public_rows:
            raise UsageError(
                "--baseline is measured on public rows, and this task has none; leave it out"
            )
        unfit = unfit_partitions(task, settings)
        if resume is None and settings.run.resume:
            resume = Path(settings.run.resume)
        settings = settings.changed(resume="")
        if resume is None:
            settings, chosen = choose_refresh(task, settings)
            check_task(task, settings)
            settings, engine = choose_engine(task, settings, client_app)
            choice = choose_trainer(task, settings)
            settings, chosen = choice.settings, {**chosen, **engine, **choice.chosen}
            if settings.simulation.fleet:
                chosen["fleet"] = fleet_text(settings)
            run = RunDirectory.create(runs, task.name, settings, app, chosen)
            keep_app(run, app)
            if choice.energy:
                run.add_energy(choice.energy_of(run.name))
                run.flush()
        else:
            settings = with_choices_of(resume, settings)
            run = to_resume(resume, settings)
        for why in unfit:
            Progress(settings.rounds.count, log=run.path / LOG).warn(why)
        devices = run.path / "devices"
        fleet = fleet_of(task, settings, devices)
        try:
            grid = InProcessGrid(
                client_app, settings.simulation.clients, settings.as_config(), devices, fleet=fleet,
                world=world_of(task, settings),
            )  # fmt: skip
            server_app(grid, server_context(settings.as_config(), {"run-dir": str(run.path)}))
            for wanted, other in ((baseline, run_baseline), (slim, run_slim)):
                if wanted:
                    run = RunDirectory.open(run.path)
                    with keeping_status(run):
                        other(settings, task, run)
                    write_report(run)
        finally:
            forget_devices()
            if fleet is not None:
                fleet.close()
    return RunDirectory.open(run.path)


def unfit_partitions(task: Task, settings: Settings) -> list[str]:
    """Load every client's rows once; return why some cannot be trained on, before the first round.

    Rows that are made with the sums of counters cannot be there before these are.

    Raises:
        TaskError: No client's can.
    """
    if settings.train.shares_counters:
        return []
    found = []
    for number in range(settings.simulation.clients):
        try:
            task.rows_of(number, settings.simulation.clients)
        except TaskError as error:
            found.append(error)
    if len(found) == settings.simulation.clients:
        raise found[0]
    return list(map(str, found))
