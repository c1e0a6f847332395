"""What the phases of a run work with: its parts, built once, before anything expensive runs."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from flwr.serverapp import Grid

from frugalfl.blocks import Parameters
from frugalfl.errors import FrugalFLError
from frugalfl.kinds import Scores
from frugalfl.settings import Settings
from frugalfl.sizes import size_text
from frugalfl.task import Task
from frugalfl_server.cohort.client_names import Naming
from frugalfl_server.cohort.clients import Clients
from frugalfl_server.cohort.energy_limits import EnergyLimits
from frugalfl_server.cohort.identity import Identities
from frugalfl_server.cohort.quarantine import quarantine_of
from frugalfl_server.cohort.training_programs import Compiling, TrainingPrograms
from frugalfl_server.exchange.clock import SimulatedLaps, answers_all
from frugalfl_server.exchange.deadlines import RoundGrid
from frugalfl_server.export import PruningPlan
from frugalfl_server.phases.check_task import check_measured
from frugalfl_server.phases.load_libraries import Work, set_up
from frugalfl_server.phases.public_rows import ask_for_facts, is_federated, public_of, without_rows
from frugalfl_server.rounds.evaluate import evaluate, scoring_for
from frugalfl_server.rounds.parts import Parts
from frugalfl_server.rounds.way_down import WayDown
from frugalfl_server.rounds.ways_down import way_down
from frugalfl_server.run.checkpoint import Tree, random_state, set_random_state
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.progress import LOG, Progress
from frugalfl_server.run.resume import COMPILED, StoppedAt
from frugalfl_server.run.server_energy import server_energy
from frugalfl_server.run.sink import RunSink, Sink

_log = logging.getLogger(__name__)


class Federation:
    """One run's parts; the phases do the work.

    Attributes:
        settings: Of the run.
        task: Of the run.
        run: Its directory.
        sink: Takes what the phases produce.
        clients: What is known of them.
        grid: Flower's way to them, with deadlines.
        progress: Shows what happens.
        public: Rows that the server may see, or that stand for the clients'.
        clients_measure: Whether only clients can measure a model.
        clients_calibrate: Whether clients give the ranges of int8, and not public rows.
        scoring: What models of this task are measured by.
        form: Of every client's rows.
        compiling: What its training programs are compiled with.
        limits: Whom the energy budget and batteries let train.
        energy: Collects the server's own energy records.
        simulated: A simulation's clock.
        clients_scores: What clients measured last, if only they can.
        downlink: Knows what clients hold of the model; ``None``: no client was sent any yet.
        plan: What pruning removes; ``None``: nothing.
        ratio: Share of channels that it removes.
        left_off: Where the run was stopped, until its phase goes on from there.
        stopped: Why phases ended early.
    """

    def __init__(
        self,
        grid: Grid,
        settings: Settings,
        task: Task,
        run: RunDirectory,
        quiet: bool = False,
        sink: Sink | None = None,
    ) -> None:
        """Build the parts, and check that the task, its rows and the settings go together.

        Raises:
            TaskError: They do not.
            UsageError: Nor do they.
        """
        self.settings = settings
        self.task = task
        self.run = run
        self.sink = sink or RunSink(run)
        who = Identities(run.path)
        self.named = Naming(who.client_of, getattr(grid, "client_numbers", {}))
        self.progress = Progress(settings.rounds.count, quiet, run.path / LOG, self.named)
        self.grid = RoundGrid(
            grid, settings.rounds.clients_per_round, settings.rounds.round_deadline,
            close_early=settings.rounds.over_select > 0,
        )  # fmt: skip
        with self.progress.listening():
            self.facts = ask_for_facts(task, settings, run, self.grid, who)
            self.public = public_of(task, settings, run)
            first = task.new_model()
            self.scoring = scoring_for(task, first, self.public.test, task.whose_rows)
            if not task.has_public_rows:
                self.scoring = without_rows(self.scoring)
        self.form = check_measured(task, settings, first, self.public.test, self.scoring)
        few = dataclasses.replace(self.form, fewest=1)  # rows to measure on are in no batch
        test = few.fit(self.public.test, task.whose_rows)
        self.public = dataclasses.replace(self.public, test=test)
        self.clients_measure = bool(settings.wire.private) or not task.has_public_rows
        self.clients_calibrate = is_federated(settings, self.public)
        self.limits = EnergyLimits(settings)
        self.compiling = Compiling(self._compile_window, self.set_up)
        self.programs = TrainingPrograms(
            task, settings, self.public.test, self._compiled, self.compiling
        )
        self.clients = Clients(
            who, quarantine_of(settings), self.limits if self.limits.active else None, self.programs
        )
        self.energy = server_energy(run.name, settings.energy.electricity)
        self.simulated = SimulatedLaps(grid)
        self.clients_scores = Scores(None, dict.fromkeys(self.scoring.measures))
        self.compilations: list[dict[str, Any]] = []
        self.downlink: WayDown | None = None
        self.plan: PruningPlan | None = None
        self.ratio = 0.0
        self.left_off: StoppedAt | None = None
        self.stopped: list[str] = []

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Show what the phases log; an error that ends them names clients, not nodes."""
        with self.progress.listening():
            try:
                yield
            except FrugalFLError as error:
                error.args = (self.named(str(error)),)
                raise

    @property
    def last_round(self) -> int:
        """Number of the newest round; 0: there is none."""
        return self.run.rounds[-1].round if self.run.rounds else 0

    def set_up(self, work: Work) -> None:
        """Load what some work needs, and keep what that took apart from any round's joules."""
        set_up(self.energy, work, self.last_round)
        self.sink.add_energy(self.energy.take())

    def downlink_from(
        self,
        model: Parameters,
        first: int,
        seed: int | None = None,
        constants: frozenset[str] = frozenset(),
    ) -> WayDown:
        """Return what brings clients on to a model; what they hold already is known.

        Args:
            model: The shared parameters.
            first: Round that begins now.
            seed: Clients draw this model from it themselves; ``None``: it has to travel.
            constants: Tensors that no training moves.
        """
        if self.downlink is None:
            self.downlink = way_down(model, self.settings, first, seed, constants)
        return self.downlink

    def score(self, module: torch.nn.Module, parts: Parts) -> Scores:
        """Return the scores of a round: the server's, or the clients' if only they can measure.

        Without public rows these are of the model that the round began with.
        """
        if not self.clients_measure:
            test, number = self.public.test, parts.traffic.round
            with self.energy.window("evaluate", round=number, samples=len(test)) as window:
                scores = evaluate(module, test, self.scoring)
                window.correct = scores.right
            return scores
        measured = parts.traffic.measured.scores(self.scoring)
        if measured is not None:  # else nobody trained, and nothing is known to have changed
            self.clients_scores = measured
        return self.clients_scores

    def write_checkpoint(
        self,
        phase: str,
        done: int,
        model: Parameters,
        parts: Parts | None = None,
        moved: Parameters | None = None,
    ) -> None:
        """Write down all that the next round depends on; for buffered rounds that is not all.

        Args:
            phase: That goes on.
            done: Rounds of it that are over.
            model: As they have left it.
            parts: Of the rounds.
            moved: Tensors that stand for the model, if it is not its own that the rounds move.
        """
        if self.settings.rounds.asynchronous:
            return
        try:
            self.sink.write_checkpoint(
                {
                    "phase": phase,
                    "done": done,
                    "ratio": self.ratio,
                    "model": model,
                    **({} if moved is None or moved is model else {"moved": moved}),
                    "clients_accuracy": self.clients_scores.accuracy,
                    "clients_metrics": dict(self.clients_scores.metrics),
                    "stopped": self.stopped,
                    "random": random_state(),
                    **{
                        name: None if part is None else part.state()
                        for name, part in self._resumable(parts).items()
                    },
                }
            )
        except TypeError as error:
            _log.warning(f"this run could not be resumed: {error}")

    def restore(self, tree: Tree, parts: Parts) -> None:
        """Put everything back to where a checkpoint was written."""
        self.stopped = tree["stopped"]
        self.clients_scores = Scores(tree["clients_accuracy"], tree["clients_metrics"])
        for name, part in self._resumable(parts).items():
            if part is not None and name in tree:  # older checkpoints lack some
                part.restore(tree[name])
        set_random_state(tree["random"])

    def _resumable(self, parts: Parts | None) -> dict[str, Any]:
        """Return every part that has ``state()`` and ``restore()``, by its name in a checkpoint."""
        return {
            "downlink": self.downlink,
            "control": self.limits,
            "aside": self.clients.quarantine,
            "identities": self.clients.identities,
            "programs": self.programs,
            "strategy": parts,
            **({"clock": self.simulated} if answers_all(self.grid) else {}),
        }

    def _compile_window(self) -> AbstractContextManager[object]:
        """Meter what a training program costs as a phase of its own, and not as encoding."""
        return self.energy.window("compile", apart=True, round=self.last_round + 1)

    def _compiled(self, figures: dict[str, Any]) -> None:
        """Keep what is known of a training program that was compiled for clients."""
        _log.info(
            f"compile: {len(figures['trained'])} tensors train, {size_text(figures['bytes'])}"
        )
        # A resumed run compares with other weights: the same program, other figures.
        if all(figures["digest"] != one["digest"] for one in self.compilations):
            self.compilations.append(figures)
            self.sink.write_json(COMPILED, {"programs": self.compilations})
