"""The yardstick: Flower's stock FedAvg, whole models in float32, same seed, same rounds."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from frugalfl import wire
from frugalfl.energy import countable_readings
from frugalfl.energy.meter import Window
from frugalfl.energy.record import known_sum
from frugalfl.errors import TaskError
from frugalfl.form import Form
from frugalfl.modules import read_parameters, write_parameters
from frugalfl.settings import Settings
from frugalfl.task import Task
from frugalfl_client.device import device_of
from frugalfl_client.exchange import Exchange
from frugalfl_server.exchange.clock import SimulatedLaps
from frugalfl_server.phases.initial_model import initial_model
from frugalfl_server.rounds.evaluate import evaluate, form_of, scoring_for
from frugalfl_server.rounds.flower_arrays import pack, unpack
from frugalfl_server.rounds.flower_strategies import averaging
from frugalfl_server.rounds.stalls import step_size_after
from frugalfl_server.run import summary
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.progress import Progress
from frugalfl_server.run.records import RoundRecord
from frugalfl_server.run.server_energy import server_meter
from frugalfl_sim.engine.grid import InProcessGrid
from frugalfl_sim.world.choose_world import world_of

#: Names of a client's joules in its reply: measured, and estimated.
_JOULES = {True: "measured-j", False: "estimated-j"}


def _client(form: Form) -> ClientApp:
    """Return the app of a client whose rows have this form."""
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        with Exchange(message, context) as exchange:
            exchange.answer(_train(form, message, context))
        return exchange.reply

    return app


def _train(form: Form, message: Message, context: Context) -> RecordDict:
    """Train the whole model and send all of it back, as any Flower quickstart does."""
    device = device_of(context)
    device.rows.fit(form)
    parameters = unpack(message.content.array_records["arrays"])
    config: Mapping[str, Any] = message.content.config_records["config"]
    number = int(config["server-round"])
    trainer = device.trainer()
    assert trainer is not None  # only a LiteRT trainer has to wait for its program
    device.rows.check_model(trainer, parameters)
    with device.meter.window("train") as window:
        trained = trainer.train(
            parameters,
            trainer.layout.everything,
            device.rows.examples,
            config.get(wire.LEARNING_RATE, 0.0) or device.settings.learning_rate_at(number),
            (device.settings.run.seed, device.number, number),
            smallest_batch=device.rows.fewest,
        )
    local = {name: tensor + trained.update[name] for name, tensor in parameters.items()}
    metrics = MetricRecord({"num-examples": len(device.rows.examples), "train-loss": trained.loss})
    for measured, name in _JOULES.items():
        joules = _joules(window, measured)
        if joules is not None:
            metrics[name] = joules
    return RecordDict({"arrays": pack(local), "metrics": metrics})


def _joules(window: Window, measured: bool) -> float | None:
    """Return the joules of a window that were measured, or those that were estimated."""
    return known_sum(
        r.energy_j for r in countable_readings(window.readings) if r.measured is measured
    )


class _ServersWork:
    """Meters what Flower's server does from one round's end to the next, without its clients."""

    def __init__(self) -> None:
        self.meter = server_meter()
        self._open = ExitStack()

    def begin(self) -> None:
        """Begin a round."""
        self._window = self._open.enter_context(self.meter.window("round"))

    def end(self) -> tuple[float | None, float | None]:
        """End the round; return its measured and its estimated joules."""
        self._open.close()
        return _joules(self._window, True), _joules(self._window, False)


class _CountingGrid(InProcessGrid):
    """Counts the bytes of all arrays, each way, and sums what Flower would average."""

    uplink_bytes = downlink_bytes = asked = updates = rows = 0
    measured_j: float | None = None
    estimated_j: float | None = None
    summed_loss = 0.0
    failed: str | None = None
    work: _ServersWork

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Let the clients answer, which is no work of the server's."""
        messages = list(messages)
        with self.work.meter.window("clients", apart=True):
            return super().push_messages(messages)

    def reset(self) -> None:
        """Begin a new round."""
        self.uplink_bytes = self.downlink_bytes = self.asked = self.updates = self.rows = 0
        self.measured_j = self.estimated_j = None
        self.summed_loss = 0.0

    def _answered(self, message: Message, reply: Message) -> None:
        self.downlink_bytes += _array_bytes(message)
        self.asked += 1
        if reply.has_error():
            self.failed = reply.error.reason
            return
        self.uplink_bytes += _array_bytes(reply)
        self.updates += 1
        metrics: Mapping[str, Any] = reply.content.metric_records["metrics"]
        self.rows += metrics["num-examples"]
        self.summed_loss += metrics["num-examples"] * metrics["train-loss"]
        self.measured_j = known_sum([self.measured_j, metrics.get(_JOULES[True])])
        self.estimated_j = known_sum([self.estimated_j, metrics.get(_JOULES[False])])


def _array_bytes(message: Message) -> int:
    return sum(
        len(a.data) for record in message.content.array_records.values() for a in record.values()
    )


def run_baseline(settings: Settings, task: Task, run: RunDirectory, quiet: bool = False) -> None:
    """Run the baseline's rounds into the run directory: as many as ours trained, where it did."""
    ours = sum((r.federation, r.phase) == (summary.OURS, "train") for r in run.rounds)
    rounds = ours or settings.rounds.count
    progress = Progress(rounds, quiet)
    progress.say("baseline: Flower's stock FedAvg, float32, same seed and rounds")
    public = task.public_rows(settings.train.shares_counters)
    module = initial_model(task, settings)
    scoring = scoring_for(task, module, public.test, "public_data().test")
    form = form_of(module, public.test, scoring)
    random.seed(settings.run.seed)
    stock = settings.changed(trainer="torch")
    grid = _CountingGrid(
        _client(form),
        settings.simulation.clients,
        stock.as_config(),
        Path(run.path) / "devices" / "baseline",
        world=world_of(task, settings),
    )
    grid.work = _ServersWork()
    started, simulated = time.monotonic(), SimulatedLaps(grid)
    told, done = ConfigRecord(), list[RoundRecord]()

    def finish_round(number: int, arrays: object) -> MetricRecord | None:
        nonlocal started
        if number == 0:
            return None
        if not grid.updates:
            raise TaskError(f"baseline: no client could train in round {number}: {grid.failed}")
        write_parameters(module, unpack(arrays))  # type: ignore[arg-type]
        scores = evaluate(module, public.test, scoring)
        measured_j, estimated_j = grid.work.end()
        record = RoundRecord(
            federation=summary.BASELINE,
            phase="train",
            round=number,
            accuracy=scores.accuracy,
            loss=grid.summed_loss / grid.rows,
            clients=grid.asked,
            updates=grid.updates,
            uplink_bytes=grid.uplink_bytes,
            downlink_bytes=grid.downlink_bytes,
            energy_measured_j=grid.measured_j,
            energy_estimated_j=grid.estimated_j,
            wall_s=time.monotonic() - started,
            server_measured_j=measured_j,
            server_estimated_j=estimated_j,
            simulated_s=simulated.lap(),
            metrics=scores.metrics,
        )
        run.add_round(record)
        progress.round_done(record)
        done.append(record)
        if rate := step_size_after(done, scoring, settings, number + 1):
            told[wire.LEARNING_RATE] = rate
        grid.reset()
        started = time.monotonic()
        grid.work.begin()
        return None

    grid.work.begin()
    averaging(settings).start(
        grid, pack(read_parameters(module)), num_rounds=rounds, evaluate_fn=finish_round,
        train_config=told,
    )  # fmt: skip
