"""Any Flower strategy, with frames outside and arrays inside.

The wrapped strategy picks the clients and averages, as it always does; this one turns the arrays
that it sends into frames, one bundle a client, and the frames that come back into arrays: of each
client, or where only the mean is needed, of the mean of all (docs/aggregation.md). An update is
added to the server's own model, not to the clients' view of it, so that what the downlink has not
yet delivered is not lost.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import QFedAvg, Strategy
from flwr.supercore.differential_privacy import KEY_CLIPPING_NORM

from frugalfl import wire
from frugalfl.asynchronous import staleness_weight
from frugalfl.blocks import Parameters
from frugalfl.codec import CodedFrame, Limits, read_frame
from frugalfl.errors import ExportError, FederationError, FrameError, UsageError
from frugalfl.form import Form
from frugalfl.plans import Plan
from frugalfl.text import printable
from frugalfl_server.cohort.check_energy import Told
from frugalfl_server.cohort.energy_limits import Control
from frugalfl_server.cohort.identity import Identities, without
from frugalfl_server.cohort.quarantine import (
    ClientFailedError,
    Sentence,
    SetAside,
    TaskFailedError,
    failure_of,
)
from frugalfl_server.cohort.quorum import GONE_S, RETURN_S, AbsentGrid, least_of
from frugalfl_server.cohort.refresh_planner import Planner
from frugalfl_server.cohort.sticky_sampling import CohortGrid, Sampler
from frugalfl_server.cohort.training_programs import Programs, Sent
from frugalfl_server.exchange.views import AllowedGrid, PaddedGrid
from frugalfl_server.rounds import strategy_state
from frugalfl_server.rounds.aggregate import Accumulator
from frugalfl_server.rounds.block_means import complete
from frugalfl_server.rounds.byte_budget import Budget
from frugalfl_server.rounds.downlink import Downlink
from frugalfl_server.rounds.flower_arrays import pack, unpack
from frugalfl_server.rounds.norm_bound import FarUpdateError, NormBound
from frugalfl_server.rounds.norms import Norms, kinds_of, norms_of
from frugalfl_server.rounds.only_mean import needs_only_mean
from frugalfl_server.rounds.pending_step import Gathered
from frugalfl_server.rounds.rate_control import Steering
from frugalfl_server.rounds.row_claims import MOST_ROWS, Rows
from frugalfl_server.rounds.stopping import TrainingOver
from frugalfl_server.rounds.traffic import Traffic

_MOST_SAMPLES = 1 << 31
_MOST_LOSS = 1e15
#: An answer that is later than this (rounds) is of no use any more.
_MOST_LATE = 4
#: A run ends when nobody has answered for so many rounds.
_MOST_SILENT = 3

#: Looks at an update's norms, and may raise :class:`FarUpdateError`; ``None``: nothing does.
Judge = Callable[[Norms], None] | None
#: Takes an update in, after that look.
_Take = Callable[[Message, wire.TrainReply, Judge], None]


@dataclass(frozen=True)
class _Asked:
    """What a client was asked for in a round: to which version, which blocks, and when (s)."""

    version: int
    blocks: tuple[int, ...]
    at_s: float


class FrugalStrategy(Strategy):
    """Wraps ``inner``; hooks run inwards on the way down and outwards on the way up."""

    def __init__(
        self,
        inner: Strategy,
        downlink: Downlink,
        plan: Plan,
        steering: Steering,
        run: str,
        first_round: int = 1,
        on_failure: Callable[[str], None] = lambda _: None,
        seed: int = 0,
        sampler: Sampler | None = None,
        control: Control | None = None,
        programs: Programs | None = None,
        resumed: tuple[int, ...] = (),
        quorum: float = 0.0,
        over_select: float = 0.0,
        norm_bound: float = 0.0,
        set_aside: SetAside | None = None,
        identities: Identities | None = None,
        form: Form | None = None,
    ) -> None:
        """Wrap a strategy; choose clients for it if there is a sampler or a control.

        Without ``programs``, every client has to train with PyTorch; without ``set_aside``, nobody
        is set aside. ``resumed`` is told to every client (:class:`~frugalfl.wire.TrainRequest`).
        ``quorum``, ``over_select`` and ``norm_bound`` are the settings of these names;
        ``identities`` are those of the whole run; ``form`` is that of every client's rows.

        Raises:
            UsageError: The plan cannot be used with this model.
        """
        self._inner = inner
        self._aggregate = self._mean if needs_only_mean(inner) else self._each
        self._downlink = downlink
        self._planner = Planner(plan, downlink.layout, seed)
        self._steering = steering
        self._run = run
        self._first_round = first_round
        self._on_failure = on_failure
        self._sampler = sampler
        self._control = control
        self._programs = programs
        self._resumed = resumed
        self._quorum = quorum
        self._over_select = over_select
        self._silent = 0
        #: A round has begun with all of its clients.
        self._complete = False
        self._bound = NormBound(norm_bound)
        self._rows = Rows()
        self._who = identities or Identities()
        self._form = form
        #: What each node's newest answer tells, until that is taken or refused.
        self._told: dict[int, Told] = {}
        self._waiting: list[tuple[Message, wire.TrainReply, FarUpdateError]] = []
        self._aside = set_aside or SetAside(None)
        self._heard: set[tuple[int, int]] = set()
        self._capped: set[int] = set()
        self._sentences: list[Sentence] = []
        self._limits = Limits.of(downlink.layout)
        self._model: Parameters = {}
        self._asked: dict[tuple[int, int], _Asked] = {}
        self._trained: set[str] = set()
        self.traffic = Traffic(first_round, time.monotonic())
        #: Step size that requests name; 0: none, clients know it themselves.
        self.learning_rate = 0.0

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Let the inner strategy pick clients; send each the frames that it lacks.

        Raises:
            TrainingOver: Too few clients may be asked.
        """
        self._begin(server_round, arrays)
        oldest = self.traffic.round - _MOST_LATE
        self._asked = {key: one for key, one in self._asked.items() if key[1] >= oldest}
        # What a strategy remembers as the model has to be what the updates are added to.
        picked = self._picked(server_round, pack(self._model), config, grid)
        uplink = self._steering.codec_for(len(picked))
        picked += self._spares(picked, grid)
        bundles = self._downlink.bundles_for(m.metadata.dst_node_id for m in picked)
        messages = []
        for message in picked:
            node = message.metadata.dst_node_id
            with self._blamed(node):
                messages.append(self._framed(message, bundles[node], uplink))
        self._keep_to(self._downlink.budget, "downloads", self.traffic.downlink_bytes, len(picked))
        return messages

    def _begin(self, server_round: int, arrays: ArrayRecord) -> None:
        """Begin a step of the model: bring the view to it, and the plan to this round."""
        self.traffic = Traffic(self._first_round + server_round - 1, time.monotonic())
        before, self._model = self._model, self._downlink.advance(unpack(arrays))
        self._planner.begin(server_round, before, self._model)
        self._trained = set()
        self._heard = set()

    def _picked(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> list[Message]:
        """Let the inner strategy pick from those who may be asked and whose turn it is."""
        control, view = self._control, grid
        self._aside.begin()
        if control is not None:
            control.begin([n for n in grid.get_node_ids() if not self._aside.rests(n)])
        limited = control is not None or self._aside.among(grid.get_node_ids()) > 0
        if limited:
            view = AllowedGrid(view, self._may_train)
        if self._sampler is not None:
            view = CohortGrid(view, self._sampler)
        if limited:
            view = PaddedGrid(
                view, grid, self._aside.clients if control is None else control.clients
            )
        absent = AbsentGrid(view, self._aside.clients, self._least(), self._patience_s())
        picked = absent.sent(self._inner.configure_train(server_round, arrays, config, absent))
        self._complete = self._complete or not absent.missing
        if absent.missing:
            self._on_failure(
                f"round {self.traffic.round}: {absent.missing} of {self._aside.clients} clients "
                f"are gone, or still at work; it begins without them, the quorum is {self._least()}"
            )
        if not limited:
            return picked
        picked = [m for m in picked if self._may_train(m.metadata.dst_node_id)]
        nodes = list(grid.get_node_ids())
        self.traffic.set_aside = self._aside.among(nodes)
        self._aside.check_enough(len(picked), nodes)
        if control is None:
            return picked
        self.traffic.skipped = sum(not control.may_train(node) for node in nodes)
        if len(picked) < control.fewest:
            raise TrainingOver(
                f"{len(nodes) - self.traffic.skipped} of {len(nodes)} clients may still be asked, "
                f"a round needs {control.fewest}: {control.why_left_out(nodes)}"
            )
        return picked

    def _least(self) -> int:
        """Return how many clients a round may begin with, if others are gone."""
        return max(least_of(self._quorum, self._aside.clients), self._aside.fewest)

    def _patience_s(self) -> float:
        """Return how long a round waits for clients that are missing (s)."""
        if not self._quorum:
            return math.inf
        if self._complete or self._first_round > 1:
            return GONE_S
        return RETURN_S if self._resumed else math.inf

    def _may_train(self, node: int) -> bool:
        allowed = self._control is None or self._control.may_train(node)
        return allowed and not self._aside.rests(node)

    def _spares(self, picked: list[Message], grid: Grid) -> list[Message]:
        """Address what the first client gets to some more, in case others are slow or fail."""
        count = math.ceil(self._over_select * len(picked))
        if not count:
            return []
        taken = {message.metadata.dst_node_id for message in picked}
        others = [n for n in grid.get_node_ids() if n not in taken and self._may_train(n)]
        first = picked[0]
        return [
            Message(first.content, dst_node_id=node, message_type=first.metadata.message_type)
            for node in random.sample(others, min(count, len(others)))
        ]

    def _keep_to(self, budget: Budget, what: str, spent: int, clients: int) -> None:
        complaint = budget.spent(what, spent / clients) if clients else None
        if complaint:
            self._on_failure(f"round {self.traffic.round}: {complaint}")

    def _framed(self, message: Message, bundle: tuple[int, bytes], uplink: str) -> Message:
        node = message.metadata.dst_node_id
        planned = self._planner.blocks_of(node)
        self._asked[node, self.traffic.round] = _Asked(
            self._downlink.version, planned, time.monotonic()
        )
        base, frames = bundle
        mu = _proximal_mu(message)
        self.traffic.clients += 1
        program, file = Sent()
        if self._programs is not None:
            names = self._downlink.layout.names(planned)
            program, file = self._programs.for_training(node, names, mu > 0)
        self.traffic.downlink_bytes += len(frames) + len(file)
        self.traffic.program_bytes += len(file)
        request = wire.TrainRequest(
            self._run, self.traffic.round, base, self._downlink.version, planned, frames, uplink,
            mu, 0 if self._control is None else self._control.epochs_of(node), program, file,
            self._resumed, form=self._form, learning_rate=self.learning_rate,
        )  # fmt: skip
        return Message(
            wire.pack_request(request),
            dst_node_id=node,
            message_type=message.metadata.message_type,
            ttl=message.metadata.ttl,
            group_id=str(self.traffic.round),
        )

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Check each frame, then let the inner strategy aggregate.

        A client that failed, sent a damaged frame or holds another version costs its own
        contribution only. Where fewer contribute than the quorum, the model stays as it is.

        Raises:
            FederationError: Every client of the round failed, or nobody answers any more.
            TaskError: Every client of the round failed, each because of its own task.
        """
        return self._conclude(server_round, self._aggregate(replies))

    def _conclude(
        self, server_round: int, contributions: list[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Let the inner strategy make its step of what was contributed."""
        uplink = self.traffic.uplink_bytes, self.traffic.updates
        self._keep_to(self._steering.budget, "uploads", *uplink)
        for failure in [*self.traffic.failures, *map(str, self._sentences)]:
            self._on_failure(failure)
        self._sentences = []
        failed = len(self.traffic.failures) >= self.traffic.clients > 0
        if failed and not self.traffic.updates and not self.traffic.far:
            if self.traffic.unfit == len(self.traffic.failures):
                self._aside.unfit.check_round(self.traffic.round, self.traffic.clients)
                return None, None
            raise FederationError(
                f"round {self.traffic.round}: none of {self.traffic.clients} clients could train; "
                f"the first said: {self.traffic.failures[0]}"
            )
        if self._below_quorum():
            return None, None
        arrays, metrics = self._inner.aggregate_train(server_round, contributions)
        if arrays is not None and not _finite(arrays):
            self._on_failure(
                f"round {self.traffic.round}: the strategy made NaN or infinity of the updates; "
                "the model stays as it was"
            )
            arrays = metrics = None
        if arrays is not None:
            self._tidy(arrays)
        if metrics is not None:
            self.traffic.loss = float(metrics["train-loss"])  # type: ignore[arg-type]
        return arrays, metrics

    def _below_quorum(self) -> bool:
        """Say so where a round brought too little to go on with.

        Raises:
            FederationError: Nobody has answered for several rounds.
        """
        traffic = self.traffic
        self._silent = 0 if traffic.answers or not traffic.clients else self._silent + 1
        if self._silent == _MOST_SILENT:
            raise FederationError(
                f"round {traffic.round}: nobody has answered in {self._silent} rounds in a row; "
                "are the nodes connected, and is round-deadline long enough for a device to train?"
            )
        share = self._quorum * traffic.clients if self._quorum < 1 else self._quorum
        if traffic.updates >= share or not traffic.clients:
            return False
        self._on_failure(
            f"round {traffic.round}: {traffic.updates} of {traffic.clients} clients contributed in "
            f"time, the quorum is {math.ceil(share)}: the model stays as it is"
        )
        traffic.updates = 0
        return True

    def _mean(self, replies: Iterable[Message]) -> list[Message]:
        """Add all updates to one sum as they are; return one reply, with the mean of them."""
        gathered = Gathered(Accumulator(self._downlink.layout))
        self._take_in(replies, partial(self._gather, gathered))
        return gathered.as_replies(self._model)

    def _gather(
        self,
        gathered: Gathered,
        message: Message,
        reply: wire.TrainReply,
        judge: Judge,
        share: float = 1.0,
    ) -> None:
        """Add one update, multiplied by a share, to those of its step."""
        rows = self._rows.weight_of(reply.samples)
        check = partial(self._as_asked, message)
        added = gathered.total.add(reply.frame, rows, check, judge, share)
        if self._steering.active:
            self._steering.note(added.steering(), rows, added.magnitudes(), share)
        self._count(message.metadata.src_node_id, reply, rows, added.names)
        gathered.count(message, rows, reply.loss)

    def _each(self, replies: Iterable[Message]) -> list[Message]:
        """Replace the frame in each reply by arrays."""
        decoded: list[tuple[Message, int, float, Parameters]] = []

        def take(message: Message, reply: wire.TrainReply, judge: Judge) -> None:
            rows = self._rows.weight_of(reply.samples)
            coded = read_frame(reply.frame, self._limits)
            self._as_asked(message, coded)
            frame = coded.decode()
            update = frame.named(self._downlink.layout)
            kinds = kinds_of(self._downlink.layout, tuple(frame.blocks))
            norms = norms_of(zip(kinds, update.values(), strict=True))
            if not all(map(math.isfinite, norms.values())):
                raise FrameError("its update is too long for float32")
            if judge is not None:
                judge(norms)
            sizes = {name: float(np.abs(step).sum()) for name, step in update.items()}
            self._steering.note(frame.steering, rows, sizes)
            self._count(message.metadata.src_node_id, reply, rows, update)
            decoded.append((message, rows, reply.loss, update))

        self._take_in(replies, take)
        steps = complete([(update, rows) for _, rows, _, update in decoded])
        for (message, rows, loss, _), step in zip(decoded, steps, strict=True):
            moved = self._model | {name: self._model[name] + move for name, move in step.items()}
            if hasattr(self._inner, "clipping_norm"):
                moved = _moved_at_all(moved, self._model)
            message.content = wire.pack_average(moved, rows, loss)
        return [message for message, *_ in decoded]

    def _take_in(self, replies: Iterable[Message], take: _Take) -> None:
        """Take in what is right; what is beyond the bound waits until all others are in.

        All replies are opened before the first one is taken: how much a claim of rows counts
        depends on everybody's.
        """
        opened = [(message, self._opened(message)) for message in replies]
        for message, reply in opened:
            if reply is not None:
                with self._answering(message):
                    self._accept(message)
                    self._try(message, reply, take)
        self._pardon(take)

    def _opened(self, message: Message) -> wire.TrainReply | None:
        """Return a reply with an update; ``None``: it has none, and what it tells is taken."""
        reply = None
        with self._blaming(message):
            reply = self._received(message)
            if reply is None:
                self._accept(message)
                self._did_right(message)
        return reply

    def _accept(self, message: Message) -> None:
        """Take a reply's word for who sent it and what it used.

        Raises:
            ClaimError: It is somebody else's number, or ledger.
        """
        told = self._told[message.metadata.src_node_id]
        for line in self._who.bind(told):
            self._on_failure(line)
        self.traffic.heads += told.heads
        self.traffic.energy += told.records

    def _withdraw(self, node: int) -> None:
        """Take back what an answer told, if it was the node's first one, and wrong."""
        told = self._told.get(node)
        if told is not None and self._who.withdraw(told):
            self.traffic.energy = without(told, self.traffic.energy)
            self.traffic.heads = [one for one in self.traffic.heads if one not in told.heads]

    def _try(self, message: Message, reply: wire.TrainReply, take: _Take) -> None:
        """Take an update in, or have it wait."""
        try:
            take(message, reply, self._bound.judge)
        except FarUpdateError as far:
            self._waiting.append((message, reply, far))
            raise

    def _pardon(self, take: _Take) -> None:
        """Decide about the updates that wait, now that all others of the step are in."""
        waiting, self._waiting = self._waiting, []
        verdicts = self._bound.pardoned([far for *_, far in waiting])
        for (message, reply, _), verdict in zip(waiting, verdicts, strict=True):
            with self._answering(message):
                if verdict is not None:
                    self.traffic.far += 1
                    raise FrameError(str(verdict))
                take(message, reply, None)
        self._bound.end_round()

    def _count(self, node: int, reply: wire.TrainReply, rows: int, names: Iterable[str]) -> None:
        self.traffic.updates += 1
        self._aside.unfit.trained(node)
        # Rows that are measured on are some of a client's own: they count no more than those.
        self.traffic.measured.note(reply.accuracy, reply.tally, reply.scored, rows)
        self._trained.update(names)
        if rows < reply.samples and node not in self._capped:
            self._capped.add(node)
            self._on_failure(
                f"node {node}: its {reply.samples} rows are more than {MOST_ROWS} times those of "
                f"the median client, and count as {rows}"
            )

    def _as_asked(self, message: Message, frame: CodedFrame) -> None:
        """Refuse an update to another version, or of other blocks than were planned."""
        asked = self._asked[message.metadata.src_node_id, self._round_of(message)]
        if frame.base != asked.version:
            raise FrameError(
                f"its update is to version {frame.base}, this round trains version "
                f"{asked.version}; is it of another run?"
            )
        if tuple(sorted(frame.shapes)) != asked.blocks:
            raise FrameError(
                f"its update has blocks {sorted(frame.shapes)}, it was asked for "
                f"{list(asked.blocks)}"
            )

    def _round_of(self, message: Message) -> int:
        """Return the round that a reply belongs to.

        Raises:
            FrameError: None of this phase in which its node was asked.
        """
        group = message.metadata.group_id
        number = int(group) if group.isdecimal() else -1
        if (message.metadata.src_node_id, number) not in self._asked:
            raise FrameError(f"its answer belongs to round {group[:20]}, in which it was not asked")
        return number

    def _received(self, message: Message) -> wire.TrainReply | None:
        """Unpack a reply and count it; ``None``: the client had nothing to give this time.

        Raises:
            FrameError: The client failed, or its reply is not as it should be.
        """
        node = message.metadata.src_node_id
        self.traffic.answers += 1
        if message.has_error():
            raise failure_of(message)
        number = self._round_of(message)
        if (node, number) in self._heard:
            raise FrameError("it has answered in this round already")
        self._heard.add((node, number))
        reply = wire.unpack_reply(message)
        self.traffic.uplink_bytes += len(reply.frame)
        self._told[node] = self._who.check(
            node, reply.records, reply.head, self._run, number, self._asked[node, number].at_s
        )
        self._downlink.confirm(node, reply.held)
        self._planner.heard(node, reply)
        if self._control is not None:
            self._control.heard(node, reply)
        if self._programs is not None:
            self._programs.heard(node, reply, worked=bool(reply.frame))
        if reply.notice:
            self._on_failure(f"node {node}: {reply.notice}")
        if not reply.frame:
            return None
        least = 0.0 if isinstance(self._inner, QFedAvg) else -_MOST_LOSS  # it takes a root of it
        if not 0 < reply.samples <= _MOST_SAMPLES or not least <= reply.loss <= _MOST_LOSS:
            raise FrameError(f"it trained on {reply.samples} rows, with a loss of {reply.loss}")
        self._rows.claim(node, reply.samples)
        return self._discounted(reply, self.traffic.round - number)

    def _discounted(self, reply: wire.TrainReply, late: int) -> wire.TrainReply:
        """Give an update to an older model less weight, as without rounds.

        The model has moved on since, so that it is a step from a place where nobody stands any
        more.

        Args:
            reply: The reply.
            late: Rounds that have passed.
        """
        if not late:
            return reply
        self.traffic.late += 1
        return replace(reply, samples=max(int(reply.samples * staleness_weight(late)), 1))

    @contextmanager
    def _blamed(self, node: int) -> Iterator[None]:
        """Let one client's trouble cost its own contribution only, and note whose it was."""
        try:
            yield
        except FarUpdateError:
            pass  # what becomes of it is known once all others are in
        except (FrameError, ExportError) as error:
            why = printable(str(error))
            if isinstance(error, TaskFailedError):
                self.traffic.unfit += 1
                why = self._aside.task_failed(node, self.traffic.round, why)
            self.traffic.failures.append(f"node {node}: {why}")
            if isinstance(error, FrameError) and not isinstance(error, ClientFailedError):
                self._withdraw(node)
                self._sentences += self._aside.wrong(node, self.traffic.round, why)

    @contextmanager
    def _answering(self, message: Message) -> Iterator[None]:
        """Take a reply in: a client that has answered as it should counts for the sampling."""
        with self._blaming(message):
            yield
            self._did_right(message)

    @contextmanager
    def _blaming(self, message: Message) -> Iterator[None]:
        """Look at a reply; a late one that cannot be used is no failure of this round."""
        node = message.metadata.src_node_id
        if self._is_of_this_round(message):
            with self._blamed(node):
                yield
            return
        try:
            yield
        except FarUpdateError:
            pass  # as below
        except FrameError as error:
            self._on_failure(f"node {node}, late by now: {printable(str(error))}")
            if not isinstance(error, ClientFailedError):
                self._withdraw(node)

    def _did_right(self, message: Message) -> None:
        node = message.metadata.src_node_id
        if not self._is_of_this_round(message):
            return
        self._aside.right(node)
        if self._sampler is not None:
            self._sampler.heard(node)

    def _is_of_this_round(self, message: Message) -> bool:
        return message.metadata.group_id == str(self.traffic.round)

    def _tidy(self, arrays: ArrayRecord) -> None:
        """Settle what a strategy returned, in float32; what nobody trained keeps its bits.

        In place: FedAvgM takes its next step from the very record that it returned.
        """
        settled = self._steering.settle(unpack(arrays))
        for name in arrays:
            value = settled[name] if name in self._trained else self._model[name]
            arrays[name] = Array(np.asarray(value))  # sums of a single number are no array

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Ask no client: the model is measured on the server's own rows."""
        return []

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Nothing was asked, nothing is aggregated."""
        return None

    def summary(self) -> None:
        """Let the inner strategy describe itself in Flower's log."""
        self._inner.summary()

    def state(self) -> dict[str, Any]:
        """Return what is kept between rounds, beside downlink, control and programs.

        Raises:
            TypeError: The inner strategy keeps something that a checkpoint cannot hold.
        """
        return {
            "model": self._model,
            "planner": self._planner.state(),
            "steering": self._steering.state(),
            "sampler": None if self._sampler is None else self._sampler.state(),
            "bound": self._bound.state(),
            "rows": self._rows.state(),
            "inner": strategy_state.state_of(self._inner),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with what :meth:`state` returned."""
        self._model = state["model"]
        self._planner.restore(state["planner"])
        self._steering.restore(state["steering"])
        if self._sampler is not None:
            self._sampler.restore(state["sampler"])
        self._bound.restore(state["bound"])
        # Checkpoints from before rows had a place of their own keep them with the bound.
        self._rows.restore(state["rows"] if "rows" in state else state["bound"]["rows"])
        strategy_state.restore(self._inner, state["inner"])


def _finite(arrays: ArrayRecord) -> bool:
    return all(np.isfinite(array.numpy()).all() for array in arrays.values())


def _moved_at_all(moved: Parameters, model: Parameters) -> Parameters:
    """Move one entry by the least there is: Flower's clipping divides by an update's length."""
    if any((moved[name] != tensor).any() for name, tensor in model.items()):
        return moved
    name = next(iter(model))
    tensor = model[name].copy()
    tensor.flat[0] += np.spacing(np.maximum(np.abs(tensor.flat[0]), np.float32(1)))
    return moved | {name: tensor}


def _proximal_mu(message: Message) -> float:
    """Return what the inner strategy wants of the client's loss.

    Raises:
        UsageError: It wants the client to clip its update.
    """
    wishes: dict[str, Any] = {}
    for config in message.content.config_records.values():
        wishes |= config
    if KEY_CLIPPING_NORM in wishes:
        raise UsageError(
            "this strategy has the client clip its update, but a codec comes after that and may "
            "lengthen it again; use the wrapper that clips on the server"
        )
    return float(wishes.get(wire.PROXIMAL_MU, 0.0))
