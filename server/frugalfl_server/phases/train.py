"""Training rounds, and the recovery rounds after pruning."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass

import torch
from flwr.app import ArrayRecord

from frugalfl.blocks import Parameters
from frugalfl.modules import constants_of, read_parameters, write_parameters
from frugalfl.private import split
from frugalfl_server.phases.federation import Federation
from frugalfl_server.phases.initial_model import initial_model
from frugalfl_server.rounds.buffered import BufferedSteps
from frugalfl_server.rounds.buffered_rounds import BufferedRounds, add_to_last_row
from frugalfl_server.rounds.evaluate import evaluate
from frugalfl_server.rounds.flower_arrays import pack, unpack
from frugalfl_server.rounds.flower_strategies import strategy_of
from frugalfl_server.rounds.parts import Parts
from frugalfl_server.rounds.stalls import step_size_after
from frugalfl_server.rounds.stopping import TrainingOver, why_over
from frugalfl_server.rounds.strategy import FrugalStrategy
from frugalfl_server.rounds.synchronous import SynchronousRounds
from frugalfl_server.run import summary
from frugalfl_server.run.progress import scores_text
from frugalfl_server.run.records import RoundRecord
from frugalfl_server.run.resume import StoppedAt

_log = logging.getLogger(__name__)


def train(federation: Federation, module: torch.nn.Module | None = None) -> torch.nn.Module:
    """Run the rounds on a model, by default the one that the settings begin with; return it."""
    settings = federation.settings
    if module is None:
        module = initial_model(federation.task, settings)
    random.seed(settings.run.seed)  # clients are chosen from this generator
    with federation.telling():
        _Rounds(federation, module, "train", settings.rounds.count, first=1).run()
        if not settings.rounds.count:
            _begin_with(federation, module)
    return module


def recover(federation: Federation, module: torch.nn.Module) -> None:
    """Run the recovery rounds on a pruned model."""
    settings = federation.settings
    _Rounds(
        federation, module, "recover", settings.export.recover_rounds, settings.rounds.count + 1
    ).run()


def _begin_with(federation: Federation, module: torch.nn.Module) -> None:
    """If no round trains: keep the model that the run begins with, and what it scores."""
    if federation.settings.wire.private:
        return
    federation.sink.write_model(read_parameters(module), "train", 0)
    if federation.clients_measure:
        return
    scores = evaluate(module, federation.public.test, federation.scoring)
    about = {"accuracy": scores.accuracy, "metrics": dict(scores.metrics)}
    federation.sink.write_json(summary.START, about)
    _log.info(f"start:{scores_text(scores.accuracy, scores.metrics)}")


@dataclass
class _Rounds:
    """The rounds of one phase, from the parameters of a module into it.

    Attributes:
        federation: Whose rounds.
        module: Begins with the phase's parameters, and takes those of each round.
        phase: ``train`` or ``recover``.
        rounds: How many.
        first: Number of the first one.
    """

    federation: Federation
    module: torch.nn.Module
    phase: str
    rounds: int
    first: int

    def run(self) -> None:
        """Run them, or those that are left of them."""
        federation, settings = self.federation, self.federation.settings
        model, _ = split(read_parameters(self.module), settings.wire.private)
        drawn = (
            settings.run.initial == "seeded"
            and self.phase == "train"
            and not settings.run.start_from
        )
        downlink = federation.downlink_from(
            model, self.first, settings.run.seed if drawn else None, constants_of(self.module)
        )
        if self.rounds == 0:
            return
        federation.programs.follow(self.module)
        self._parts = Parts.of(
            settings, strategy_of(settings, federation.task), downlink, federation.run.name,
            federation.clients, self.first, federation.form,
        )  # fmt: skip
        self._name_codecs()
        left = self._go_on()
        done = left.done if left else 0
        try:
            self._end_if_over(done)
            self._set_step_size(done)
            self._drive(left.moved if left else downlink.moved(model), done)
        except TrainingOver as over:
            self._ended_early(str(over))
        finally:
            federation.clients.quarantine.write(federation.sink, federation.named.client_of)
        if settings.rounds.asynchronous:
            self._count_late()

    def _drive(self, model: Parameters, done: int) -> None:
        federation, settings = self.federation, self.federation.settings
        buffered = settings.rounds.buffered
        if buffered is not None:
            steps = BufferedSteps(self._parts, buffered, settings.run.seed)
            clients = settings.rounds.clients_per_round
            BufferedRounds(steps, federation.energy, self.first, clients).run(
                federation.grid, pack(model), self.rounds, self._finish
            )
            return
        strategy = FrugalStrategy(lambda _: self._parts)
        SynchronousRounds(strategy, federation.energy, self.first, done).run(
            federation.grid, pack(model), self.rounds, self._finish
        )

    def _finish(self, number: int, arrays: ArrayRecord) -> ArrayRecord:
        """Score a round's model, and write down what the round was; return what to go on with.

        Raises:
            TrainingOver: A limit of the settings is reached.
        """
        federation, sink, traffic = self.federation, self.federation.sink, self._parts.traffic
        moved = unpack(arrays)
        model = self._parts.downlink.whole(moved)
        write_parameters(self.module, model)
        scores = federation.score(self.module, self._parts)
        own = federation.energy.take()
        traffic.downlink_bytes += federation.grid.again_bytes()
        record = traffic.record(self.phase, scores, own, sink.name, federation.simulated.lap())
        sink.add_round(record, traffic.energy, traffic.heads)
        sink.add_energy(own)
        federation.clients.quarantine.write(sink, federation.named.client_of)
        federation.clients.identities.write(sink)
        going_on = self._parts.watch(moved)
        if going_on is not moved:
            arrays, model = pack(going_on), self._parts.downlink.whole(going_on)
            write_parameters(self.module, model)
        sink.write_model(model, self.phase, record.round)
        federation.write_checkpoint(self.phase, number, model, self._parts, going_on)
        federation.progress.round_done(record)
        self._end_if_over(number)
        self._set_step_size(number)
        return arrays

    def _name_codecs(self) -> None:
        """Say by which codecs updates travel, if not by those that the settings name."""
        federation, wire = self.federation, self.federation.settings.wire
        travel = {"uplink": self._parts.steering.codec, "downlink": self._parts.downlink.codec}
        if travel == {"uplink": wire.uplink, "downlink": wire.downlink}:
            return
        federation.sink.write_json(summary.CODECS, travel)
        if self.phase == "train":
            _log.info(f"updates travel by {travel['uplink']}, and down by {travel['downlink']}")

    def _go_on(self) -> StoppedAt | None:
        """Put everything back to where this phase was stopped; ``None``: it begins."""
        federation = self.federation
        left, federation.left_off = federation.left_off, None
        if left is None or left.phase != self.phase:
            return None
        write_parameters(self.module, left.model)
        federation.restore(left.tree, self._parts)
        return left

    def _end_if_over(self, done: int) -> None:
        """End training after so many rounds of its phase if a limit says so.

        Raises:
            TrainingOver: With the reason.
        """
        if self.phase != "train" or not 0 < done < self.rounds:
            return
        if why := why_over(self.federation.settings, self._own_rows(), self.federation.scoring):
            raise TrainingOver(why)

    def _set_step_size(self, done: int) -> None:
        """Have the next round's questions name its step size, if only the server knows it."""
        if done < self.rounds:
            rows = [row for row in self._own_rows() if row.phase == self.phase]
            number, settings = self.first + done, self.federation.settings
            rate = step_size_after(rows, self.federation.scoring, settings, number)
            if self._parts.divergence.factor < 1:
                rate = self._parts.divergence.factor * (rate or settings.learning_rate_at(number))
            self._parts.questions.learning_rate = rate

    def _own_rows(self) -> list[RoundRecord]:
        name = self.federation.sink.name
        return [row for row in self.federation.run.rounds if row.federation == name]

    def _ended_early(self, why: str) -> None:
        federation = self.federation
        done = sum(row.phase == self.phase for row in self._own_rows())
        told = f"{self.phase} ended after {done} of {self.rounds} rounds: {why}"
        _log.info(told)
        federation.stopped.append(told)
        federation.sink.write_json(summary.STOPPED, {"why": "; ".join(federation.stopped)})

    def _count_late(self) -> None:
        """Count what came after the last buffered step with that step."""
        federation, late = self.federation, self._parts.traffic
        add_to_last_row(federation.run, late, federation.simulated.lap())
        federation.sink.add_energy(late.energy)
        federation.sink.add_heads(late.heads)
