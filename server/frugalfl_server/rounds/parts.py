"""What the rounds of a phase are composed of, in rounds or buffered."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Any

from flwr.app import ArrayRecord, Message, MetricRecord
from flwr.serverapp.strategy import Strategy

from frugalfl.blocks import Parameters, within_bounds
from frugalfl.errors import ExportError
from frugalfl.form import Form
from frugalfl.settings import Settings
from frugalfl_server.cohort.clients import Clients
from frugalfl_server.cohort.refresh_planner import Planner
from frugalfl_server.cohort.selection import Cohort, Selection, patience_of
from frugalfl_server.cohort.sticky_sampling import sampler_of
from frugalfl_server.rounds import strategy_state
from frugalfl_server.rounds.adaptive_steps import in_weight_units
from frugalfl_server.rounds.byte_budget import Budget
from frugalfl_server.rounds.divergence import Divergence
from frugalfl_server.rounds.flower_arrays import pack, unpack
from frugalfl_server.rounds.intake import Intake
from frugalfl_server.rounds.model_step import ModelStep
from frugalfl_server.rounds.open_answers import Opener
from frugalfl_server.rounds.questions import Questions
from frugalfl_server.rounds.rate_control import RateControl
from frugalfl_server.rounds.stopping import TrainingOver
from frugalfl_server.rounds.sums import Sums
from frugalfl_server.rounds.traffic import Traffic
from frugalfl_server.rounds.way_down import WayDown

_log = logging.getLogger(__name__)


@dataclass
class Parts:
    """One phase's parts; what each does is written in its own file.

    Attributes:
        strategy: Flower's.
        steering: How coarsely clients round.
        selection: Who trains.
        questions: What they are asked.
        intake: What is made of their answers.
        step: The next model.
        first_round: Of the phase.
        model: What updates are added to; empty before the first round.
        fresh: What the strategy remembers before its first round; ``None``: not asked for.
        divergence: Of a subspace, notices if training goes astray.
        traffic: What the round that goes on has cost and brought.
    """

    strategy: Strategy
    steering: RateControl
    selection: Selection
    questions: Questions
    intake: Intake
    step: ModelStep
    first_round: int = 1
    model: Parameters = field(default_factory=dict)
    fresh: dict[str, Any] | None = None
    divergence: Divergence = field(default_factory=Divergence)

    def __post_init__(self) -> None:
        self.traffic = Traffic(self.first_round, time.monotonic())

    @classmethod
    def of(
        cls,
        settings: Settings,
        strategy: Strategy,
        downlink: WayDown,
        run: str,
        clients: Clients | None = None,
        first_round: int = 1,
        form: Form | None = None,
    ) -> Parts:
        """Compose what the settings say.

        Args:
            settings: Of the run.
            strategy: Flower's.
            downlink: Knows what clients hold of the model.
            run: Name of the run.
            clients: What the run knows of them; ``None``: nothing yet.
            first_round: Of the phase.
            form: Of every client's rows.

        Raises:
            UsageError: The refresh plan cannot be used with this model, or a subspace with this
                strategy.
        """
        clients = clients or Clients()
        if downlink.coordinates:
            strategy = in_weight_units(strategy, downlink.spread)
        steering = RateControl(
            settings.wire.uplink, settings.wire.uplink_budget, bool(downlink.coordinates)
        )
        quorum = settings.rounds.quorum
        selection = Selection(
            settings.rounds.clients_per_round, clients.quarantine, clients.limits,
            sampler_of(settings), quorum=quorum, over_select=settings.rounds.over_select,
            patience_s=patience_of(quorum, first_round, bool(clients.resumed)),
        )  # fmt: skip
        planner = Planner(settings.wire.plan, downlink.layout, settings.run.seed)
        questions = Questions(
            run, downlink, planner, clients.limits, clients.programs, clients.resumed, form
        )
        in_rounds = settings.rounds.buffered is None
        opener = Opener(strategy, questions, selection, clients.identities, in_rounds)
        intake = Intake(opener, selection, settings.rounds.norm_bound, in_rounds)
        step = ModelStep(strategy, steering, clients.quarantine, quorum)
        parts = cls(strategy, steering, selection, questions, intake, step, first_round)
        if downlink.coordinates:
            parts.fresh = strategy_state.begin_of(strategy)
        return parts

    @property
    def downlink(self) -> WayDown:
        """What knows which frames each client lacks."""
        return self.questions.downlink

    def begin(self, server_round: int, arrays: ArrayRecord) -> None:
        """Begin a step of the model: bring the view to it, and the plan to this round."""
        self.traffic = Traffic(self.first_round + server_round - 1, time.monotonic())
        before, oldest = self.model, self.downlink.oldest_version
        self.model = self.downlink.advance(unpack(arrays))
        if self.downlink.oldest_version > oldest:
            before = {}
            self._forget_moments()
        self.questions.planner.begin(server_round, before, self.model)
        self.intake.begin(self.traffic)

    def _forget_moments(self) -> None:
        """Have the strategy begin anew: what it remembers is of coordinates that are no more."""
        if self.fresh is not None:
            strategy_state.begin_anew(self.strategy, copy.deepcopy(self.fresh))

    def note(self, cohort: Cohort) -> None:
        """Note who was left out of a cohort.

        Raises:
            TrainingOver: Too few clients may be asked.
        """
        self.traffic.skipped, self.traffic.set_aside = cohort.skipped, cohort.in_quarantine
        if cohort.why_over:
            raise TrainingOver(cohort.why_over)

    def watch(self, moved: Parameters) -> Parameters:
        """Return the tensors to go on with: these, unless training in a subspace goes astray."""
        if not self.downlink.coordinates:
            return moved
        traffic, fold = self.traffic, self.downlink.oldest_version
        loss = traffic.usual_loss if within_bounds(moved.values()) else inf
        going_on = self.divergence.watch(traffic.round, loss, self.model, fold)
        if going_on is None:
            return moved
        self._forget_moments()  # they would lead astray once more
        return going_on

    def ask(self, messages: Iterable[Message], uplink: str) -> list[Message]:
        """Turn a strategy's messages into questions; a node that cannot be asked is named."""
        picked = {message.metadata.dst_node_id: message for message in messages}
        questions = []
        for node, bundle in self.downlink.bundles_for(picked).items():
            try:
                questions.append(self.questions.frame(picked[node], bundle, uplink, self.traffic))
            except ExportError as error:
                self.intake.fail(node, error)
        return questions

    def keep_to_downlink_budget(self, clients: int) -> None:
        """Hold downloads to their budget, and say if they took more."""
        self._keep_to(self.downlink.budget, "downloads", self.traffic.downlink_bytes, clients)

    def _keep_to(self, budget: Budget, what: str, sent_b: int, clients: int) -> None:
        complaint = budget.spent(what, sent_b / clients) if clients else None
        if complaint:
            _log.warning(f"round {self.traffic.round}: {complaint}")

    def conclude(
        self, server_round: int, sums: Sums
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Decide about what waits, and let the strategy make its step.

        Raises:
            FederationError: Every client of the round failed, or nobody answers any more.
            TaskError: Every client of the round failed, each because of its own task.
        """
        self.intake.settle(sums)
        traffic = self.traffic
        self._keep_to(self.steering.budget, "uploads", traffic.uplink_bytes, traffic.uploads)
        sentences, self.intake.exclusions = self.intake.exclusions, []
        for failure in [*traffic.failures, *map(str, sentences)]:
            _log.warning(failure)
        arrays, metrics = self.step.make(
            server_round, sums.contributions(self.model), traffic, self.model, self.intake.moved
        )
        if arrays is None and self.downlink.coordinates:
            # The round may have begun with a fold: what it was given is of coordinates before it.
            arrays = pack(self.model)
        return arrays, metrics

    def state(self) -> dict[str, Any]:
        """Return what is kept between rounds, beside what the run knows of its clients.

        Raises:
            TypeError: The strategy keeps something that a checkpoint cannot hold.
        """
        sampler = self.selection.sampler
        return {
            "model": self.model,
            "planner": self.questions.planner.state(),
            "steering": self.steering.state(),
            "sampler": None if sampler is None else sampler.state(),
            "bound": self.intake.bound.state(),
            "rows": self.intake.opener.rows.state(),
            "inner": strategy_state.state_of(self.strategy),
            "divergence": self.divergence.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with what :meth:`state` returned."""
        self.model = state["model"]
        self.questions.planner.restore(state["planner"])
        self.steering.restore(state["steering"])
        if self.selection.sampler is not None:
            self.selection.sampler.restore(state["sampler"])
        self.intake.bound.restore(state["bound"])
        # Checkpoints from before rows had a place of their own keep them with the bound.
        self.intake.opener.rows.restore(
            state["rows"] if "rows" in state else state["bound"]["rows"]
        )
        strategy_state.restore(self.strategy, state["inner"])
        if "divergence" in state:  # older checkpoints lack it
            self.divergence.restore(state["divergence"])
