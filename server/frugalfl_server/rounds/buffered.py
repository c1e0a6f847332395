"""Buffered asynchronous aggregation: one step of the model for every so many updates.

The algorithm is FedBuff (Nguyen et al., AISTATS 2022). An update is relative to the version that
its client started from, which its frame names. It is multiplied by ``1 / sqrt(1 + s)``, where s is
how many steps the model has made since, and by the server's step; the sum of the buffer is divided
by the whole weights. Weights are the clients' rows, as in FedAvg. The buffer is one accumulator:
no update is kept by itself.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import replace

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid

from frugalfl.asynchronous import Buffered, staleness_weight
from frugalfl.errors import FederationError
from frugalfl_server.cohort.round_robin import RoundRobin
from frugalfl_server.exchange.failures import ClientFailedError
from frugalfl_server.exchange.view import ExactGrid
from frugalfl_server.rounds.flower_arrays import pack
from frugalfl_server.rounds.inner_strategy import pick
from frugalfl_server.rounds.intake import Accepted
from frugalfl_server.rounds.norm_bound import Far
from frugalfl_server.rounds.parts import Parts
from frugalfl_server.rounds.questions import readdress
from frugalfl_server.rounds.sums import MeanOfAll, Update
from frugalfl_server.rounds.traffic import Traffic

#: How often a client is asked in one step if it turns out to lack what the frames build on.
_MOST_ASKS = 2
#: Of the first step all updates wait, so that each one's rows are compared with everybody's.
_NO_ROWS = Far({}, "there are no rows to compare its own with yet")

_log = logging.getLogger(__name__)


class BufferedSteps:
    """Takes answers one by one into a buffer; each full buffer is a step of the model.

    The strategy says what clients are told, and makes its step of the buffer. It does not choose
    clients: whoever has waited longest is next.
    """

    def __init__(self, parts: Parts, buffered: Buffered, seed: int) -> None:
        """Begin a phase.

        Args:
            parts: What its rounds are composed of.
            buffered: After how many updates the model makes a step.
            seed: Decides whose turn is first.
        """
        self.parts = parts
        self._buffered = buffered
        self._at_a_time = parts.selection.clients
        self._turns = RoundRobin(seed)
        self._sums = self._no_sums()
        self._template: Message | None = None
        self._uplink = ""
        self._asks: Counter[int] = Counter()
        self._contributed: set[int] = set()
        self._wait_for_rows = False

    @property
    def full(self) -> bool:
        """Whether the buffer is, with the updates that wait."""
        return self._taken >= self._buffered.updates

    @property
    def _taken(self) -> int:
        return self._sums.updates + len(self.parts.intake.waiting)

    def begin(self, step: int, arrays: ArrayRecord, grid: Grid) -> None:
        """Begin a step of the model.

        Raises:
            TrainingOver: Too few clients may be asked.
            FederationError: So it is, because others are in quarantine.
        """
        parts = self.parts
        parts.begin(step, arrays)
        self._sums = self._no_sums()
        self._uplink = parts.steering.codec_for(self._buffered.updates)
        self._asks.clear()
        self._contributed.clear()
        anybody = ExactGrid(grid, range(1, self._at_a_time + 1))
        told = pick(parts.strategy, step, pack(parts.model), ConfigRecord(), anybody)
        self._template = told[0]
        nodes = list(grid.get_node_ids())
        parts.selection.begin(nodes)
        allowed = [node for node in nodes if parts.selection.may_train(node)]
        parts.note(parts.selection.judge(nodes, allowed))

    def ask(self, nodes: Collection[int], at_work: Collection[int]) -> list[Message]:
        """Return what to send to clients that start now, on the newest version.

        Args:
            nodes: Clients that are connected.
            at_work: Clients that have not answered yet.
        """
        assert self._template is not None
        wanted = max(self._at_a_time - len(at_work), 0)
        chosen = self._turns.next(filter(self._may_start, {*nodes} - {*at_work}), wanted)
        self.parts.questions.forget_nodes(chosen)
        self.parts.intake.opener.expect(chosen)
        self._asks.update(chosen)
        return self.parts.ask([readdress(self._template, node) for node in chosen], self._uplink)

    def _may_start(self, node: int) -> bool:
        """Say whether a client may start in this step: each contributes to a buffer once."""
        if node in self._contributed or self._asks[node] >= _MOST_ASKS:
            return False
        return self.parts.selection.may_train(node)

    def take(self, message: Message) -> None:
        """Take an answer into the buffer; one that cannot be used costs its own contribution only.

        Raises:
            FederationError: As many clients have failed as are at work at a time, and not one of
                this step has contributed.
            TaskError: Likewise, each because of its own task.
        """
        node = message.metadata.src_node_id
        opened = self.parts.intake.open(message)
        if not isinstance(opened, Accepted):
            self._contributed.add(node)
        if isinstance(opened, Update):
            self._take(opened)
        self._check_failures()

    def _take(self, update: Update) -> None:
        intake, behind = self.parts.intake, self.parts.downlink.version - update.asked.version
        if intake.accept(update) is not None:
            return
        if behind > self._buffered.staleness:
            old = (
                f"its update is {behind} steps of the model old, and at most "
                f"{self._buffered.staleness} are taken; it is left out"
            )
            intake.refuse(update.message, ClientFailedError(old))
            return
        update = replace(update, share=self._buffered.step * staleness_weight(behind))
        known = intake.opener.rows.comparable and not self._wait_for_rows
        if known or intake.bound.judge is not None:
            intake.add(update, self._sums, intake.bound.judge)
        else:
            self._wait_for_rows = True
            intake.wait(update, _NO_ROWS)

    def _check_failures(self) -> None:
        traffic = self.parts.traffic
        if self._taken or len(traffic.failures) < self._at_a_time:
            return
        if traffic.unfit == len(traffic.failures):
            self.parts.selection.quarantine.unfit.check_round(traffic.round, traffic.unfit)
            return
        raise FederationError(
            f"step {traffic.round}: {len(traffic.failures)} clients could not train, and none "
            f"could; the first said: {traffic.failures[0]}"
        )

    def conclude(self, step: int) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Make the step.

        Raises:
            FederationError: No client of this step could train.
        """
        self._wait_for_rows = False
        self.parts.keep_to_downlink_budget(self.parts.traffic.clients)
        return self.parts.conclude(step, self._sums)

    def begin_leaving(self) -> None:
        """Begin to count what clients still send after the last step."""
        self.parts.traffic = Traffic(self.parts.traffic.round, time.monotonic())
        self.parts.intake.begin(self.parts.traffic)

    def take_leave(self, message: Message) -> None:
        """Note what a client spent and holds whose update comes after the last step."""
        intake, failures = self.parts.intake, self.parts.traffic.failures
        opened = intake.open(message)
        if isinstance(opened, Update):
            intake.accept(opened)
        for failure in failures:
            _log.warning(failure)
        failures.clear()

    def _no_sums(self) -> MeanOfAll:
        return MeanOfAll(self.parts.downlink.layout, self.parts.steering)
