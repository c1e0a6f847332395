"""One federation, start to end, by Flower's FedAvg: a peer's forms, our product, or float32.

Whatever travels how, it is the same model, clients, rows, sampling, seeds and local training.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from flwr.app import ArrayRecord, Context, Message
from flwr.clientapp import ClientApp

from frugalfl import wire
from frugalfl.blocks import Parameters
from frugalfl.energy import EnergyRecord
from frugalfl.errors import CodecError, FrameError, TaskError
from frugalfl.modules import read_parameters, write_parameters
from frugalfl.settings import Settings
from frugalfl.task import Task, load_task
from frugalfl_client.app import app as client_app
from frugalfl_client.device import forget_devices
from frugalfl_client.training.pytorch import TorchTrainer
from frugalfl_server.phases.federation import Federation
from frugalfl_server.phases.initial_model import initial_model
from frugalfl_server.phases.train import train
from frugalfl_server.rounds.evaluate import accuracy
from frugalfl_server.rounds.flower_arrays import pack, unpack
from frugalfl_server.rounds.flower_strategies import averaging
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.records import HeadRecord, RoundRecord
from frugalfl_sim.apps import importable, quiet_flower
from frugalfl_sim.baseline import run_baseline
from frugalfl_sim.engine.grid import InProcessGrid
from schemes.curve import Curve, EnoughError, Watch
from schemes.forms import Floats, Form


class Scheme(Protocol):
    """How models go down and updates come up."""

    def federate(self, settings: Settings, task: Task, folder: Path, watch: Watch) -> None:
        """Run all rounds; call ``watch`` after each with the curve so far."""


def run(scheme: Scheme, settings: Settings, app: Path, watch: Watch) -> Curve:
    """Run a federation until its last round, its breakdown, or ``watch`` has seen enough."""
    seen = Curve()

    def look(curve: Curve) -> None:
        nonlocal seen
        seen = curve
        watch(curve)

    with tempfile.TemporaryDirectory() as folder, importable(app), quiet_flower():
        try:
            scheme.federate(settings, load_task(settings.run.task), Path(folder), look)
        except EnoughError:
            seen.stopped = True
        except (TaskError, CodecError, FrameError) as error:
            seen.diverged = str(error)
        finally:
            forget_devices()
    return seen


class _WatchedRun(RunDirectory):
    """A run directory that hands on every finished round."""

    watch: Watch
    curve: Curve

    def add_round(
        self,
        record: RoundRecord,
        energy: Sequence[EnergyRecord] = (),
        heads: Sequence[HeadRecord] = (),
    ) -> None:
        super().add_round(record, energy, heads)
        self.curve.add(
            record.accuracy, record.uplink_bytes, record.downlink_bytes, record.energy_estimated_j
        )
        self.watch(self.curve)


def _watched_run(settings: Settings, task: Task, folder: Path, watch: Watch) -> _WatchedRun:
    run = _WatchedRun.create(folder, task.name, settings, app=None)
    assert isinstance(run, _WatchedRun)
    run.curve, run.watch = Curve(), watch
    return run


class Float32:
    """Flower's own FedAvg: whole models both ways."""

    def federate(self, settings: Settings, task: Task, folder: Path, watch: Watch) -> None:
        """Run the baseline of `frugalfl simulate --baseline`."""
        run_baseline(settings, task, _watched_run(settings, task, folder, watch), quiet=True)


@dataclass(frozen=True)
class Product:
    """Our ServerApp and ClientApp, whole; clients that missed rounds are sent what they missed.

    Attributes:
        changes: Settings that differ from the workload's.
    """

    changes: dict[str, Any] = field(default_factory=dict)

    def federate(self, settings: Settings, task: Task, folder: Path, watch: Watch) -> None:
        """Run the training rounds of `frugalfl simulate`."""
        settings = settings.changed(**self.changes)
        run = _watched_run(settings, task, folder, watch)
        grid = InProcessGrid(
            client_app, settings.simulation.clients, settings.as_config(), run.path / "devices"
        )
        train(Federation(grid, settings, task, run, quiet=True))


@dataclass(frozen=True)
class Peer:
    """A stateless way down and a way up, with error feedback on the clients or without.

    Attributes:
        up: Form of the update, local minus received model.
        down: Form of the whole model, sent anew to every client of every round.
        feedback: Clients add what ``up`` dropped to their next update.
    """

    up: Form
    down: Form = field(default_factory=lambda: Floats("<f4"))
    feedback: bool = False

    def federate(self, settings: Settings, task: Task, folder: Path, watch: Watch) -> None:
        """Run Flower's FedAvg over an in-process Grid whose clients speak these forms."""
        public = task.public_rows()
        module = initial_model(task, settings)
        parameters = read_parameters(module)
        link = _Link(self, settings, task)
        curve = Curve()
        random.seed(settings.run.seed)  # Flower samples clients from this generator

        def finish_round(number: int, arrays: ArrayRecord) -> None:
            if number == 0:
                return
            write_parameters(module, unpack(arrays))
            curve.add(accuracy(module, public.test), link.up_bytes, link.down_bytes)
            link.up_bytes = link.down_bytes = 0
            watch(curve)

        grid = InProcessGrid(
            link.client_app(), settings.simulation.clients, settings.as_config(), folder
        )
        averaging(settings).start(
            grid, pack(parameters), num_rounds=settings.rounds.count, evaluate_fn=finish_round
        )


class _Link:
    """Both ends of a peer's wire in one place: each message is encoded, counted and decoded."""

    def __init__(self, peer: Peer, settings: Settings, task: Task) -> None:
        self.up_bytes = self.down_bytes = 0
        self._peer = peer
        self._settings = settings
        self._trainer = TorchTrainer(task, settings)
        self._rows = cache(lambda number: task.rows_of(number, settings.simulation.clients))
        self._residuals: dict[int, Parameters] = {}

    def client_app(self) -> ClientApp:
        """Return a ClientApp that trains on what came down, and answers with what came up."""
        app = ClientApp()

        @app.train()
        def train(message: Message, context: Context) -> Message:
            model = unpack(message.content.array_records["arrays"])
            number = int(context.node_config["partition-id"])
            turn = int(message.content.config_records["config"]["server-round"])  # type: ignore[arg-type]
            rows = self._rows(number)
            seed = (self._settings.run.seed, number, turn)
            trained = self._trainer.train(
                self._down(model),
                self._trainer.layout.everything,
                rows,
                self._settings.learning_rate_at(turn),
                seed,
            )
            update = self._up(number, trained.update, seed)
            # The server adds updates to its own model, whatever the clients saw of it.
            arrays = {name: tensor + update[name] for name, tensor in model.items()}
            return Message(wire.pack_average(arrays, len(rows), trained.loss), reply_to=message)

        return app

    def _down(self, model: Parameters) -> Parameters:
        data = self._peer.down.encode(model, 0)
        self.down_bytes += len(data)
        return self._peer.down.decode(data, _shapes(model))

    def _up(self, number: int, update: Parameters, seed: tuple[int, ...]) -> Parameters:
        if self._peer.feedback and number in self._residuals:
            kept = self._residuals[number]
            update = {name: tensor + kept[name] for name, tensor in update.items()}
        randomness = int(np.random.SeedSequence(seed).generate_state(1)[0])
        data = self._peer.up.encode(update, randomness)
        self.up_bytes += len(data)
        sent = self._peer.up.decode(data, _shapes(update))
        if self._peer.feedback:
            self._residuals[number] = {name: update[name] - sent[name] for name in update}
        return sent


def _shapes(tensors: Parameters) -> dict[str, tuple[int, ...]]:
    return {name: tensor.shape for name, tensor in tensors.items()}
