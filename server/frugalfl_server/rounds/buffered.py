"""Buffered asynchronous aggregation: one step of the model for every so many updates.

The algorithm is FedBuff (Nguyen et al., AISTATS 2022). An update is relative to the version that
its client started from, which its frame names. It is multiplied by ``1 / sqrt(1 + s)``, where s is
how many steps the model has made since, and by the server's step; the sum of the buffer is divided
by the whole weights. Weights are the clients' rows, as in FedAvg. The buffer is one accumulator:
no update is kept by itself.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid

from frugalfl import wire
from frugalfl.asynchronous import Buffered, staleness_weight
from frugalfl.errors import FederationError
from frugalfl_server.cohort.quarantine import ClientFailedError
from frugalfl_server.cohort.round_robin import Turns
from frugalfl_server.exchange.views import View
from frugalfl_server.rounds.aggregate import Accumulator
from frugalfl_server.rounds.flower_arrays import pack
from frugalfl_server.rounds.norm_bound import FarUpdateError
from frugalfl_server.rounds.pending_step import Gathered
from frugalfl_server.rounds.stopping import TrainingOver
from frugalfl_server.rounds.strategy import FrugalStrategy, Judge
from frugalfl_server.rounds.traffic import Traffic

#: How often a client is asked in one step if it turns out to lack what the frames build on.
_MOST_ASKS = 2


class BufferedStrategy(FrugalStrategy):
    """A :class:`FrugalStrategy` that takes replies one by one; `buffered_rounds.py` drives it.

    The inner strategy says what clients are told, and makes its step of each full buffer. It does
    not choose clients: whoever has waited longest is next.
    """

    def __init__(self, *args: Any, buffered: Buffered, clients: int, **options: Any) -> None:
        """Wrap a strategy.

        Args:
            *args: As of :class:`FrugalStrategy`.
            buffered: After how many updates the model makes a step.
            clients: How many are at work at a time.
            **options: As of :class:`FrugalStrategy`; the seed also decides whose turn is first.
        """
        super().__init__(*args, **options)
        self._buffered = buffered
        self._at_a_time = clients
        self._turns = Turns(options.get("seed", 0))
        self._gathered = Gathered(Accumulator(self._downlink.layout))
        self._template: Message | None = None
        self._uplink = ""
        self._asks: Counter[int] = Counter()
        self._contributed: set[int] = set()
        self._wait_for_rows = False

    @property
    def full(self) -> bool:
        """Whether the buffer is, with the updates that the norm bound has wait."""
        return self._gathered.updates + len(self._waiting) >= self._buffered.updates

    def begin(self, step: int, arrays: ArrayRecord, grid: Grid) -> None:
        """Begin a step of the model.

        Raises:
            TrainingOver: Too few clients may be asked.
        """
        self._begin(step, arrays)
        self._gathered = Gathered(Accumulator(self._downlink.layout))
        self._uplink = self._steering.codec_for(self._buffered.updates)
        self._asks.clear()
        self._contributed.clear()
        picked = self._inner.configure_train(
            step, pack(self._model), ConfigRecord(), _Anybody(grid, self._at_a_time)
        )
        self._template = next(iter(picked))
        self._allow(grid)

    def _allow(self, grid: Grid) -> None:
        """Begin a step for what keeps clients out: set aside, or without energy.

        Raises:
            TrainingOver: Too few clients may be asked.
            FederationError: So it is, because they are set aside.
        """
        nodes = list(grid.get_node_ids())
        self._aside.begin()
        self.traffic.set_aside = self._aside.among(nodes)
        self._aside.check_enough(len(nodes) - self.traffic.set_aside, nodes)
        if self._control is None:
            return
        self._control.begin([node for node in nodes if not self._aside.rests(node)])
        allowed = sum(map(self._control.may_train, nodes))
        self.traffic.skipped = len(nodes) - allowed
        if nodes and allowed < self._control.fewest:
            raise TrainingOver(
                f"{allowed} of {len(nodes)} clients may still be asked: "
                f"{self._control.why_left_out(nodes)}"
            )

    def ask(self, nodes: Collection[int], at_work: Collection[int]) -> list[Message]:
        """Return what to send to clients that start now, on the newest version.

        Args:
            nodes: Clients that are connected.
            at_work: Clients that have not answered yet.
        """
        assert self._template is not None
        wanted = max(self._at_a_time - len(at_work), 0)
        chosen = self._turns.next(filter(self._may_start, {*nodes} - {*at_work}), wanted)
        # Who starts anew has answered: what was asked of it before is over.
        self._asked = {key: asked for key, asked in self._asked.items() if key[0] not in chosen}
        self._heard = {key for key in self._heard if key[0] not in chosen}
        template = self._template
        messages = []
        for node, bundle in self._downlink.bundles_for(chosen).items():
            self._asks[node] += 1
            message = Message(
                template.content, node, template.metadata.message_type, ttl=template.metadata.ttl
            )
            with self._blamed(node):
                messages.append(self._framed(message, bundle, self._uplink))
        return messages

    def _may_start(self, node: int) -> bool:
        """Say whether a client may start in this step: each contributes to a buffer once."""
        if node in self._contributed or self._asks[node] >= _MOST_ASKS:
            return False
        return self._may_train(node)

    def take(self, message: Message) -> None:
        """Take a reply into the buffer; one that cannot be used costs its own contribution only.

        Raises:
            FederationError: As many clients have failed as are at work at a time, and not one of
                this step has contributed.
            TaskError: Likewise, each because of its own task.
        """
        node = message.metadata.src_node_id
        with self._blamed(node):
            self._contributed.add(node)
            reply = self._received(message)
            self._accept(message)
            if reply is None:
                self._contributed.discard(node)
            else:
                self._share_of(message)  # else it is too old to wait
                self._try(message, reply, self._add)
                self._aside.right(node)
        failures = self.traffic.failures
        taken = self._gathered.updates + len(self._waiting)
        if not taken and self.traffic.unfit == len(failures) >= self._at_a_time:
            self._aside.unfit.check_round(self.traffic.round, len(failures))
        elif not taken and len(failures) >= self._at_a_time:
            raise FederationError(
                f"step {self.traffic.round}: {len(failures)} clients could not train, and none "
                f"could; the first said: {failures[0]}"
            )

    def _try(self, message: Message, reply: wire.TrainReply, take: Callable[..., None]) -> None:
        """Take an update in, or have it wait.

        Of the first step all wait for its end, so that each one's rows are compared with
        everybody's; with a norm bound they do so anyway.
        """
        known = self._rows.comparable and not self._wait_for_rows
        if known or self._bound.judge is not None:
            super()._try(message, reply, take)
            return
        self._wait_for_rows = True
        far = FarUpdateError({}, "there are no rows to compare its own with yet")
        self._waiting.append((message, reply, far))
        raise far

    def _add(self, message: Message, reply: wire.TrainReply, judge: Judge) -> None:
        self._gather(self._gathered, message, reply, judge, self._share_of(message))

    def _share_of(self, message: Message) -> float:
        """Return what an update is multiplied by.

        Raises:
            ClientFailedError: It is too old.
        """
        asked = self._asked[message.metadata.src_node_id, self._round_of(message)]
        behind = self._downlink.version - asked.version
        if behind > self._buffered.staleness:
            raise ClientFailedError(
                f"its update is {behind} steps of the model old, and at most "
                f"{self._buffered.staleness} are taken; it is left out"
            )
        return self._buffered.step * staleness_weight(behind)

    def _discounted(self, reply: wire.TrainReply, late: int) -> wire.TrainReply:
        """Leave it as it is: staleness counts in steps of the model, and an update's share."""
        return reply

    def conclude(self, step: int) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Make the step.

        Raises:
            FederationError: No client of this step could train.
        """
        self._pardon(self._add)
        self._wait_for_rows = False
        self._keep_to(
            self._downlink.budget, "downloads", self.traffic.downlink_bytes, self.traffic.clients
        )
        return self._conclude(step, self._gathered.as_replies(self._model))

    def begin_leaving(self) -> None:
        """Begin to count what clients still send after the last step."""
        self.traffic = Traffic(self.traffic.round, time.monotonic())

    def take_leave(self, message: Message) -> None:
        """Note what a client spent and holds whose update comes after the last step."""
        with self._blamed(message.metadata.src_node_id):
            self._received(message)
            self._accept(message)
        for failure in self.traffic.failures:
            self._on_failure(failure)
        self.traffic.failures.clear()


class _Anybody(View):
    """A Grid of so many nodes that do not exist: a strategy says what clients are told, not whom.

    Flower's strategies wait until enough nodes are idle, which here they need not be.
    """

    def __init__(self, grid: Grid, clients: int) -> None:
        super().__init__(grid)
        self._clients = clients

    def get_node_ids(self) -> list[int]:
        """Return numbers, as many as a strategy waits for."""
        return list(range(1, self._clients + 1))
