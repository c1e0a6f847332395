"""The other yardstick: the pruned model's architecture, trained from scratch.

If it does as well, the model could have been designed that small, and pruning was not worth its
rounds. Same clients, seed, codecs and number of rounds, recovery included.
"""

from __future__ import annotations

from frugalfl.blocks import Shape
from frugalfl.errors import ExportError, UsageError
from frugalfl.modules import read_parameters
from frugalfl.settings import Settings
from frugalfl.task import Task
from frugalfl_client.app import app as client_app
from frugalfl_server.phases.calibrate import calibrate
from frugalfl_server.phases.export import export_into
from frugalfl_server.phases.federation import Federation
from frugalfl_server.phases.initial_model import slim_model
from frugalfl_server.phases.train import train
from frugalfl_server.run import summary
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.progress import Progress
from frugalfl_server.run.sink import RowsOnly
from frugalfl_sim.choose_engine import fleet_of
from frugalfl_sim.engine.grid import InProcessGrid


def check_slim(settings: Settings) -> None:
    """Refuse settings that leave nothing to compare.

    Raises:
        UsageError: Nothing is pruned, or the rounds of the large model are in another run.
    """
    if not settings.export.prunes:
        raise UsageError("--slim compares with a pruned model: set prune, or a budget")
    if not settings.export.recover_rounds:
        raise UsageError(
            "--slim compares with a pruned model that was trained on: set recover-rounds"
        )
    if settings.run.start_from:
        raise UsageError(
            "--slim trains for as many rounds as the pruned model had, and with start-from most "
            "of those are in another run; leave one of the two out"
        )


def run_slim(settings: Settings, task: Task, run: RunDirectory) -> None:
    """Train the slim model for all rounds, export it into the run's ``slim`` folder.

    Args:
        settings: Of the federation that is over.
        task: Its task.
        run: Its run directory, with the pruned model as checkpoint; the slim rounds are added.
    """
    rounds = sum(r.federation == summary.OURS and r.phase != "calibrate" for r in run.rounds)
    progress = Progress(rounds)
    shapes = {name: tensor.shape for name, tensor in run.load_checkpoint().items()}
    if shapes == _shapes_before(task):
        progress.say("slim: nothing was pruned, so there is nothing to compare")
        return
    progress.say("slim: the pruned model's architecture from scratch, same seed, codecs and rounds")
    own = settings.changed(
        rounds=rounds, prune=0.0, target="", flash="", ram="", macs=0,
        stop_joules=0.0, stop_accuracy=0.0, stop_score=0.0, stop_patience=0,
    )  # fmt: skip
    devices = run.path / "devices" / summary.SLIM
    fleet = fleet_of(task, own, devices)
    grid = InProcessGrid(client_app, own.simulation.clients, own.as_config(), devices, fleet=fleet)
    federation = Federation(grid, own, task, run, sink=RowsOnly(run, summary.SLIM))
    module = train(federation, slim_model(task, own, shapes))
    try:
        ranges = calibrate(federation, module) if federation.clients_calibrate else None
        export_into(run, module, task, own, run.path / summary.SLIM, ranges)
    except ExportError as error:
        progress.warn(f"the slim model has no int8 figures: {error}")


def _shapes_before(task: Task) -> dict[str, Shape]:
    return {name: tensor.shape for name, tensor in read_parameters(task.new_model()).items()}
