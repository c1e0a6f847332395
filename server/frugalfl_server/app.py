"""One run, top to bottom: train, prune, recover, export, report."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from flwr.app import ArrayRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp

from frugalfl.codec.seeded import draw_again
from frugalfl.energy import totals
from frugalfl.errors import Interrupted
from frugalfl.modules import read_parameters, write_parameters
from frugalfl.plans import parse_plan
from frugalfl.private import split
from frugalfl.settings import Settings
from frugalfl.task import Task, load_task
from frugalfl_server import summary
from frugalfl_server.arrays import pack, unpack
from frugalfl_server.downlink import Downlink
from frugalfl_server.evaluate import accuracy
from frugalfl_server.export import prune
from frugalfl_server.export_run import export_into, why_private_is_not_exported
from frugalfl_server.progress import Progress
from frugalfl_server.records import RoundRecord
from frugalfl_server.report import write_report
from frugalfl_server.run_directory import RunDirectory
from frugalfl_server.sampling import sampler_of
from frugalfl_server.steering import Steering
from frugalfl_server.strategies import strategy_of
from frugalfl_server.strategy import FrugalStrategy

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the federation that the run config describes.

    ``run-dir`` in the node config names a run directory that is there already; without it, a new
    one is made under ``runs`` in the working folder.
    """
    settings = Settings.of(context.run_config)
    task = load_task(settings.task)
    given = context.node_config.get("run-dir")
    if given is None:
        run = RunDirectory.create(Path("runs"), task.name, settings, app=None)
    else:
        run = RunDirectory.open(Path(str(given)))
    with keeping_status(run):
        Federation(grid, settings, task, run).conduct()
    write_report(run)


@contextmanager
def keeping_status(run: RunDirectory) -> Iterator[None]:
    """Keep what is known of the run in ``summary.json`` however the ``with`` block ends.

    Raises:
        Interrupted: The user pressed Ctrl-C.
    """
    status, reason = "finished", None
    try:
        yield
    except KeyboardInterrupt as error:
        status = "interrupted"
        raise Interrupted(
            f"interrupted after {len(run.rounds)} rounds; they are in {run.path}"
        ) from error
    except BaseException as error:
        status, reason = "failed", str(error)
        raise
    finally:
        run.flush()
        run.write_json("summary.json", summary.of_run(run, status, reason))


class Federation:
    """The rounds of one run, and what is made of their result."""

    def __init__(
        self, grid: Grid, settings: Settings, task: Task, run: RunDirectory, quiet: bool = False
    ) -> None:
        self._grid = grid
        self._settings = settings
        self._task = task
        self._run = run
        self._public = task.public_rows()
        recover = settings.recover_rounds if settings.prune else 0
        self._progress = Progress(settings.rounds + recover, quiet)
        self._clients_accuracy = 0.0

    def conduct(self) -> None:
        """Train, prune, recover, export."""
        self._progress.say(f"run {self._run.path}")
        module = self.train()
        if self._settings.prune:
            module = self._prune(module)
            self._rounds(
                module, "recover", self._settings.recover_rounds, self._settings.rounds + 1
            )
        self._run.flush()
        if self._settings.private:
            self._progress.say(f"no export: {why_private_is_not_exported(self._settings)}")
            return
        self._progress.say("export: convert, quantize to int8, run in LiteRT and TFLite-Micro")
        export_into(self._run, module, self._task, self._settings, self._run.path / "model")

    def train(self) -> torch.nn.Module:
        """Run the rounds on the whole model, from weights that the seed decides."""
        module = initial_model(self._task, self._settings)
        random.seed(self._settings.seed)  # Flower samples clients from this generator
        self._rounds(module, "train", self._settings.rounds, first=1)
        return module

    def _prune(self, module: torch.nn.Module) -> torch.nn.Module:
        example = torch.from_numpy(self._public.calibration.x[:1])
        pruned, report = prune(module, example, self._settings.prune)
        self._progress.say(
            f"prune: {report.parameters_before:,} parameters become {report.parameters_after:,}"
        )
        return pruned

    def _rounds(self, module: torch.nn.Module, phase: str, rounds: int, first: int) -> None:
        """Run federated rounds on the module's parameters, and leave the result in it."""
        if rounds == 0:
            return
        settings = self._settings
        parameters, _ = split(read_parameters(module), settings.private)
        seed = settings.seed if phase == "train" and settings.initial == "seeded" else None
        downlink = Downlink(parameters, settings.downlink, first, seed, settings.downlink_budget,
            settings.clients_per_round,
        )  # fmt: skip
        strategy = FrugalStrategy(
            strategy_of(settings), downlink, parse_plan(settings.refresh),
            Steering(settings.uplink, settings.uplink_budget), self._run.name, first,
            on_failure=self._progress.warn, seed=settings.seed,
            sampler=sampler_of(settings),
        )  # fmt: skip

        def finish_round(number: int, arrays: ArrayRecord) -> MetricRecord | None:
            if number == 0:
                return None
            write_parameters(module, unpack(arrays))
            record = self._record(phase, strategy, self._score(module, strategy))
            self._run.add_round(record, strategy.traffic.energy)
            self._run.checkpoint(unpack(arrays), phase=phase, round=record.round)
            self._progress.round_done(record)
            return MetricRecord({"accuracy": record.accuracy})

        strategy.start(self._grid, pack(parameters), num_rounds=rounds, evaluate_fn=finish_round)

    def _score(self, module: torch.nn.Module, strategy: FrugalStrategy) -> float:
        """Return the accuracy of a round: the server's, or with private blocks the clients' own."""
        if not self._settings.private:
            return accuracy(module, self._public.test)
        measured = strategy.traffic.clients_accuracy
        if measured is not None:  # else nobody trained, and nothing is known to have changed
            self._clients_accuracy = measured
        return self._clients_accuracy

    def _record(self, phase: str, strategy: FrugalStrategy, score: float) -> RoundRecord:
        traffic = strategy.traffic
        energy = totals(traffic.energy)
        return RoundRecord(
            federation="frugalfl",
            phase=phase,
            round=traffic.round,
            accuracy=score,
            loss=traffic.loss,
            clients=traffic.clients,
            updates=traffic.updates,
            uplink_bytes=traffic.uplink_bytes,
            downlink_bytes=traffic.downlink_bytes,
            energy_measured_j=energy.measured_j,
            energy_estimated_j=energy.estimated_j,
            wall_s=time.monotonic() - traffic.started_s,
        )


def initial_model(task: Task, settings: Settings) -> torch.nn.Module:
    """Build the task's model with weights that depend on the settings only."""
    torch.manual_seed(settings.seed)
    module = task.new_model()
    if settings.initial == "seeded":
        shared, _ = split(read_parameters(module), settings.private)
        write_parameters(module, draw_again(shared, settings.seed))
    return module
