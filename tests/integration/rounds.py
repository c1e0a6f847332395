"""Rounds over the in-process Grid that a test can step through."""

import random
from contextlib import contextmanager

import torch
from flwr.app import ConfigRecord
from flwr.serverapp.strategy import FedAvg
from tests.logged import Lines

from frugalfl.modules import read_parameters, write_parameters
from frugalfl.private import split
from frugalfl.settings import Settings
from frugalfl.task import load_task
from frugalfl_client.app import app as client_app
from frugalfl_client.device import forget_devices
from frugalfl_server.cohort.clients import Clients
from frugalfl_server.cohort.energy_limits import EnergyLimits
from frugalfl_server.cohort.identity import Identities
from frugalfl_server.cohort.quarantine import quarantine_of
from frugalfl_server.cohort.training_programs import TrainingPrograms
from frugalfl_server.export import prune
from frugalfl_server.phases.initial_model import initial_model
from frugalfl_server.rounds.downlink import Downlink
from frugalfl_server.rounds.flower_arrays import pack, unpack
from frugalfl_server.rounds.parts import Parts
from frugalfl_server.rounds.strategy import FrugalStrategy
from frugalfl_server.rounds.ways_down import way_down
from frugalfl_sim.apps import importable, quiet_flower
from frugalfl_sim.engine.grid import InProcessGrid

from .conftest import DIGITS


class Rounds:
    """One run, a round at a time; several may share the devices in a folder."""

    def __init__(self, settings, devices, run="run", client=client_app, inner=None):
        self.settings, self.run, self.inner = settings, run, inner
        self.task = load_task(settings.run.task)
        parameters = read_parameters(initial_model(self.task, settings))
        self.model, _ = split(parameters, settings.wire.private)
        self.start = self.model
        self.downlink = Downlink(
            self.model, settings.wire.downlink, budget_b=settings.wire.downlink_budget
        )
        if settings.wire.subspace is not None:
            self.downlink = way_down(self.model, settings)
            self.model = self.downlink.moved(self.model)
        self.programs = TrainingPrograms(self.task, settings, self.task.public_rows().test)
        self.programs.follow(self.task.new_model())
        control = EnergyLimits(settings)
        self.control = control if control.active else None
        self.clients = Clients(
            quarantine=quarantine_of(settings), limits=self.control, programs=self.programs
        )
        self.quarantine = self.clients.quarantine
        self.warnings = []
        self.strategy = self._strategy()
        self.grid = InProcessGrid(
            client, settings.simulation.clients, settings.as_config(), devices
        )
        self.updates = []
        self.traffic = []

    def _strategy(self, first=1):
        settings = self.settings
        self.clients.identities = Identities()
        if self.inner is None and settings.rounds.sampling == Settings().rounds.sampling:
            settings = settings.changed(clients_per_round=settings.simulation.clients)  # everybody
        self.parts = Parts.of(
            settings, self.inner or FedAvg(fraction_evaluate=0.0), self.downlink, self.run,
            self.clients, first,
        )  # fmt: skip
        return FrugalStrategy(lambda _: self.parts)

    def prune(self, ratio):
        """Go on with the pruned model."""
        module = self.task.new_model()
        write_parameters(module, self.model)
        example = torch.from_numpy(self.task.public_rows().test.x[:1])
        pruned, report = prune(module, example, ratio)
        self.downlink.prune(report.kept)
        self.model = read_parameters(pruned)
        self.programs.follow(pruned)
        self.strategy = self._strategy(first=len(self.updates) + 1)

    def next(self, only=None):
        """Do one round; ``only``: numbers of the clients that are reached."""
        number = len(self.updates) + 1
        random.seed(number)  # the same clients, whatever else draws from this generator
        with Lines() as lines:
            self._next(number, only)
        self.warnings += lines

    def _next(self, number, only):
        messages = self.strategy.configure_train(
            number, pack(self.model), ConfigRecord(), self.grid
        )
        if only is not None:
            reached = [list(self.grid.get_node_ids())[number] for number in only]
            messages = [m for m in messages if m.metadata.dst_node_id in reached]
        replies = self.grid.send_and_receive(messages)
        arrays, _ = self.strategy.aggregate_train(number, replies)
        self.model = self.model if arrays is None else unpack(arrays)
        self.updates.append(self.strategy.traffic.updates)
        self.traffic.append(self.strategy.traffic)


@contextmanager
def digits():
    """Make the digits task importable, and forget the devices afterwards."""
    with importable(DIGITS), quiet_flower():
        try:
            yield
        finally:
            forget_devices()
