"""``trainer = "auto"`` in a simulation: what trains for fewer joules here, found before round 1.

Simulated clients all run on this machine, so that it is measured once for all of them: the same
local training by PyTorch and by a training program, in processor time. What is found becomes the
run's setting, so that the run is resumed, and can be repeated, with the same trainer; both give the
same update within float32's rounding, and each the same bits for the same seed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import NamedTuple

from frugalfl import wire
from frugalfl.blocks import Parameters
from frugalfl.energy import EnergyRecord
from frugalfl.energy.recorder import Recorder
from frugalfl.errors import FrugalFLError
from frugalfl.kinds import CLASSIFICATION
from frugalfl.modules import read_parameters
from frugalfl.program_file import unpack
from frugalfl.settings import Settings
from frugalfl.task import Examples, Task
from frugalfl_client.training.step_size import share_of_step
from frugalfl_client.training.trainer import Trainer
from frugalfl_client.training.trial import Trial, compare
from frugalfl_server.cohort.training_programs import (
    Compiling,
    TrainingPrograms,
    pays_to_compile,
    trained_within,
)
from frugalfl_server.phases.initial_model import initial_model
from frugalfl_server.phases.load_libraries import set_up
from frugalfl_server.rounds.evaluate import scoring_for
from frugalfl_server.run.checkpoint import random_state, set_random_state
from frugalfl_server.run.directory import Chosen
from frugalfl_server.run.server_energy import server_energy

_KEY = "trainer"
#: What compiles and runs training programs.
_PACKAGES = "litert_torch", "ai_edge_litert"


class Choice(NamedTuple):
    """What trains on simulated clients.

    Attributes:
        settings: With it in place of ``auto``.
        chosen: What to tell of it; empty: there was nothing to choose.
        energy: What finding it took, of no run yet.
    """

    settings: Settings
    chosen: Chosen
    energy: tuple[EnergyRecord, ...] = ()

    def energy_of(self, run: str) -> list[EnergyRecord]:
        """Return what finding it took, as records of a run."""
        return [replace(record, run=run) for record in self.energy]


def choose_trainer(task: Task, settings: Settings) -> Choice:
    """Return settings with PyTorch or LiteRT in place of ``auto``.

    Short runs, and those that only PyTorch can do, are left as they are. All random numbers are
    left as they were.

    Args:
        task: Its model is built, and rows of one client are trained on.
        settings: Of the run that is about to be made.

    Raises:
        TaskError: The task cannot be trained on.
    """
    if not _worth_trying(task, settings):
        return Choice(settings, {})
    # Nobody listens to the log yet: there is no run.
    print(
        "trainer = auto: compiling the training and trying it beside PyTorch, half a minute the "
        "first time on a machine ...", file=sys.stderr, flush=True,
    )  # fmt: skip
    energy = server_energy("", settings.energy.electricity)
    drawn = random_state()
    try:
        trial = _Trial(task, settings, energy)
        name, why = trial.decide()
    finally:
        set_random_state(drawn)
    return Choice(settings.changed(trainer=name), {_KEY: f"{name} ({why})"}, energy.take())


def _worth_trying(task: Task, settings: Settings) -> bool:
    return (
        settings.train.trainer == "auto"
        and not settings.train.trees
        and not settings.train.shares_counters
        and not settings.wire.private
        and task.has_public_rows
        and pays_to_compile(settings)
        and all(map(find_spec, _PACKAGES))
    )


@dataclass(frozen=True)
class _Trial:
    """Both trainers on the same rows.

    Attributes:
        task: The task.
        settings: Of the run.
        energy: Takes the records of the trial, and of compiling for it.
    """

    task: Task
    settings: Settings
    energy: Recorder

    def decide(self) -> tuple[str, str]:
        """Return the name of the trainer, and why it is that."""
        module, rows = initial_model(self.task, self.settings), self._rows()
        scoring = scoring_for(self.task, module, rows, "a client's rows")
        if scoring.kind is not CLASSIFICATION:
            return (
                wire.TORCH,
                "a training program counts right classes; this task measures something else",
            )
        model = read_parameters(module)
        try:
            litert = self._compiled(module, model, rows)
            torch = _torch(self.task, self.settings)
            with self.energy.window("trial", round=0, samples=len(rows)):
                trial = self._compare(torch, litert, model, rows)
        except (FrugalFLError, RuntimeError) as error:  # the second: of the interpreter
            return wire.TORCH, f"no training program can be tried: {error}"
        return trial.cheaper, str(trial)

    def _compare(self, torch: Trainer, litert: Trainer, model: Parameters, rows: Examples) -> Trial:
        settings, plan = self.settings, self.settings.wire.subspace
        planned, rate, subspace = torch.layout.everything, settings.learning_rate_at(1), None
        if plan is not None:
            planned = plan.blocks(torch.layout)
            subspace = plan.of_model(model, settings.run.seed, fold=0).keeping_signs()
            rate *= share_of_step(subspace, settings)
        return compare(
            torch, litert, model, planned, rows, rate, (settings.run.seed, 0, 0),
            subspace=subspace,
        )  # fmt: skip

    def _rows(self) -> Examples:
        """Return rows of the first client that has any."""
        clients = self.settings.simulation.clients
        for number in range(clients):
            try:
                return self.task.rows_of(number, clients)
            except FrugalFLError:
                if number == clients - 1:
                    raise
        raise AssertionError("a simulation has clients")

    def _compiled(self, module: object, model: Parameters, rows: Examples) -> Trainer:
        from frugalfl_client.training.litert import LiteRTTrainer

        compiling = Compiling(
            lambda: self.energy.window("compile", apart=True, round=0),
            lambda work: set_up(self.energy, work, 0),
        )
        programs = TrainingPrograms(self.task, self.settings, rows, compiling=compiling)
        programs.follow(module)  # type: ignore[arg-type]
        plan = self.settings.wire.subspace
        trained, coordinates = (
            (tuple(model), ())
            if plan is None
            else trained_within(plan, model, self.settings.run.seed)
        )
        sent = programs.program_for(trained, self.settings.rounds.proximal, coordinates)
        return LiteRTTrainer(unpack(sent.file, sent.digest), self.settings)


def _torch(task: Task, settings: Settings) -> Trainer:
    from frugalfl_client.training.pytorch import TorchTrainer

    return TorchTrainer(task, settings)
