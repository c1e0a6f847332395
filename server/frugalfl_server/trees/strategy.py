"""Flower strategies that grow trees: what bagging, cyclic and histogram have in common.

Each is a strategy of Flower's message API. The model does not travel as Flower's arrays but as
frames that each client lacks (:mod:`frugalfl.trees.parcel`); the ArrayRecord between the rounds
holds the trees that the last one added.
"""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from frugalfl import wire
from frugalfl.errors import FederationError, FrameError
from frugalfl.text import printable
from frugalfl.trees.forest import Forest
from frugalfl.trees.ways import Way
from frugalfl_server.cohort.check_energy import Told
from frugalfl_server.cohort.identity import Identities, without
from frugalfl_server.cohort.quarantine import ClientFailedError, TaskFailedError, failure_of
from frugalfl_server.rounds.traffic import Traffic
from frugalfl_server.trees.believable import Rows
from frugalfl_server.trees.grown import Grown
from frugalfl_server.trees.guard import Guard

#: Flower's message type of every question about trees.
QUESTION = "train.trees"
#: Beyond any client's rows, and any mean log loss.
_MOST_ROWS, _MOST_LOSS = 1 << 31, 1e6


class TreeStrategy(Strategy):
    """Asks clients, checks what they answer, and counts bytes; a subclass adds it up."""

    #: Whether a client that fails costs the others what they have done so far.
    needs_all = False

    def __init__(
        self, grown: Grown, way: Way, run: str, on_failure: Callable[[str], None] = lambda _: None,
        guard: Guard | None = None,
    ) -> None:  # fmt: skip
        """Begin.

        Args:
            grown: The model, to which this adds.
            way: What clients are to grow.
            run: Name of the run.
            on_failure: Told one line about every client that contributed nothing.
            guard: What is known of the clients, and who is set aside; by default nobody.
        """
        self._grown = grown
        self._way = way
        self._run = run
        self._on_failure = on_failure
        self._guard = Guard() if guard is None else guard
        self.traffic = Traffic(1, time.monotonic())
        #: Who is who in the run.
        self.who = Identities()
        self._told: dict[int, Told] = {}
        self._began_s = time.monotonic()
        #: Nodes and exchanges of which an answer is awaited.
        self._awaited: set[tuple[int, int]] = set()
        #: Clients that were sent everything with the last question.
        self._sent_all: set[int] = set()
        #: Clients of which an answer since the last step was not as it should be.
        self._faulty: set[int] = set()

    @abstractmethod
    def whom(self, server_round: int, nodes: Sequence[int]) -> Sequence[int]:
        """Return which of the nodes, in the order of their numbers, are asked in a round."""

    @abstractmethod
    def take_in(self, node: int, reply: wire.TrainReply) -> None:
        """Look at one client's frame, and keep what is in it for :meth:`step`.

        Raises:
            FrameError: It is not what was asked for.
        """

    @abstractmethod
    def step(self) -> Forest | None:
        """Return what the clients of the round add to the model; ``None``: nothing this time."""

    def outliers(self) -> dict[int, str]:
        """Return why clients are refused that are unlike the others, by node."""
        return {}

    @abstractmethod
    def drop(self, node: int) -> None:
        """Forget what a client sent in this exchange."""

    @property
    def begins(self) -> bool:
        """Return whether the next exchange is the first one of a step."""
        return True

    def most_exchanges(self, steps: int) -> int:
        """Return how often clients are asked at most for so many steps of the model."""
        return steps

    def gives_up(self) -> bool:
        """Return whether an exchange in which no client contributed ends the run."""
        return True

    @property
    def version(self) -> int:
        """The version of the model that clients are brought to by segments."""
        return self._grown.version

    def question(self, node: int) -> bytes:
        """Return what a client is asked beside the trees."""
        return b""

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Address each client with what it lacks of the model."""
        self.traffic = Traffic(server_round, time.monotonic())
        version, messages = self.version, []
        there = sorted(grid.get_node_ids())
        asked = self._guard.whom(there, self.begins)
        self.traffic.set_aside = self._guard.aside.among(there)
        self._sent_all = set()
        for node in self.whom(server_round, asked):
            base, parcel = self._grown.parcel_for(node, version, self.question(node))
            if base == -1:
                self._sent_all.add(node)
            frames = parcel.pack()
            self._awaited.add((node, server_round))
            self.traffic.clients += 1
            self.traffic.downlink_bytes += len(frames)
            request = wire.TrainRequest(
                self._run, server_round, base, version, (), frames, str(self._way)
            )
            messages.append(
                Message(
                    wire.pack_request(request), dst_node_id=node, message_type=QUESTION,
                    group_id=str(server_round),
                )
            )  # fmt: skip
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Check each answer, and make a step of those that are sound.

        Raises:
            FederationError: Not one client contributed.
            TaskError: Not one could, each because of its own task.
        """
        taken = self._taken(server_round, replies)
        if not taken:
            if not self.gives_up():
                return None, None
            if 0 < self.traffic.unfit == self.traffic.clients:
                self._guard.aside.unfit.check_round(server_round, self.traffic.clients)
            first = next(iter(self.traffic.failures), "nobody answered")
            raise FederationError(
                f"round {server_round}: none of {self.traffic.clients} clients contributed; {first}"
            )
        counted = self._guard.counted(taken)
        rows = sum(counted.values())
        loss = sum(taken[node].loss * rows for node, rows in counted.items()) / rows
        self.traffic.loss = loss
        added = self.step()
        if added is None:
            return None, None
        for node in taken.keys() - self._faulty:
            self._guard.right(node)
        self._faulty = set()
        self._grown.add(added)
        frame = np.frombuffer(self._grown.segments[-1], np.uint8)
        metrics = MetricRecord({"train-loss": loss, "num-examples": rows})
        return ArrayRecord({"trees": Array(frame)}), metrics

    def _taken(self, server_round: int, replies: Iterable[Message]) -> dict[int, wire.TrainReply]:
        """Return the answers that count, by node; name everybody else."""
        taken: dict[int, wire.TrainReply] = {}
        # Sums of floats depend on their order, and replies come in any.
        for message in sorted(replies, key=lambda reply: reply.metadata.src_node_id):
            node = message.metadata.src_node_id
            try:
                reply = self._received(message)
                if reply is None:
                    continue
                self.take_in(node, reply)
            except TaskFailedError as error:
                self.traffic.unfit += 1
                why = self._guard.task_failed(node, self.traffic.round, error)
                self.failed(node, why, garbage=False)
                continue
            except FrameError as error:
                self.failed(node, str(error), garbage=not isinstance(error, ClientFailedError))
                continue
            taken[node] = reply
            self._guard.aside.unfit.trained(node)
        for node, why in self.outliers().items():
            self.drop(node)
            del taken[node]
            self.failed(node, f"{why}; it does not count", garbage=True)
        for node in sorted(node for node, number in self._awaited if number == server_round):
            self.failed(node, "no answer", garbage=False)
            if not self.needs_all:
                self._guard.silent(node)
        self.traffic.updates = len(taken)
        for failure in [*self.traffic.failures, *self._guard.newly_capped(taken)]:
            self._on_failure(failure)
        return taken

    def failed(self, node: int, why: str, garbage: bool) -> None:
        """Note that a client contributed nothing.

        Args:
            node: The client.
            why: What is the matter.
            garbage: Whether no working client answers so.
        """
        number, said = self.traffic.round, printable(why)
        self._faulty.add(node)
        self.traffic.failures.append(f"round {number}: node {node}: {said}")
        if garbage:
            self._withdraw(node)
            sentences = self._guard.wrong(node, number, said)
            self.traffic.failures += map(str, sentences)

    def _rows_of(self, node: int, reply: wire.TrainReply) -> Rows | None:
        """Return what a client's sums have to fit; ``None``: it never said, or has others now."""
        claim = self._guard.claim_of(node)
        if claim is None or claim[0] != reply.samples:
            return None
        first = self._grown.version == 1 and not self._grown.forest.trees
        chance = 1 / (1 + math.exp(-self._grown.forest.base)) if first else None
        return Rows(*claim, chance)

    def _received(self, message: Message) -> wire.TrainReply | None:
        """Return a sound reply; ``None``: the client lacks what the question builds on.

        Raises:
            FrameError: It is an error, or says what cannot be.
        """
        node, traffic = message.metadata.src_node_id, self.traffic
        number = self._exchange_of(message)
        if message.has_error():
            raise failure_of(message)
        reply = wire.unpack_reply(message)
        traffic.answers += 1
        self._bind(node, reply, number)
        traffic.uplink_bytes += len(reply.frame)
        if reply.notice:
            self._on_failure(f"round {traffic.round}: node {node}: {reply.notice}")
        self._grown.confirm(node, reply.held)
        if number != traffic.round:
            raise ClientFailedError(f"its answer of round {number} came too late")
        if reply.held != self.version:
            if node in self._sent_all:
                raise FrameError(f"it was sent everything, and says it holds version {reply.held}")
            why = f"it holds version {reply.held}; the next round brings what it lacks"
            self.failed(node, why, garbage=False)
            return None
        if not (0 < reply.samples < _MOST_ROWS and 0 <= reply.loss < _MOST_LOSS):
            raise FrameError(f"it claims {reply.samples} rows with a loss of {reply.loss}")
        self._guard.claims(node, reply.samples)
        return reply

    def _bind(self, node: int, reply: wire.TrainReply, number: int) -> None:
        """Take a reply's word for who sent it and what it used.

        Raises:
            FrameError: It is another's number or ledger, or more than can be.
        """
        traffic = self.traffic
        asked_s = traffic.started_s if number == traffic.round else self._began_s
        told = self._told[node] = self.who.check(
            node, reply.records, reply.head, self._run, number, asked_s
        )
        for line in self.who.bind(told):
            self._on_failure(f"round {traffic.round}: {line}")
        traffic.energy += told.records
        traffic.heads += told.heads

    def _withdraw(self, node: int) -> None:
        """Take back what an answer told, if it was the node's first one, and wrong."""
        told = self._told.pop(node, None)
        if told is not None and self.who.withdraw(told):
            self.traffic.energy = without(told, self.traffic.energy)
            self.traffic.heads = [one for one in self.traffic.heads if one not in told.heads]

    def _exchange_of(self, message: Message) -> int:
        """Return which exchange a reply belongs to; each one is taken once.

        Raises:
            FrameError: None in which its node was asked and has not answered.
        """
        group = message.metadata.group_id
        asked = message.metadata.src_node_id, int(group) if group.isdecimal() else -1
        if asked not in self._awaited:
            raise FrameError(f"no answer of it is awaited for round {group[:20]}")
        self._awaited.remove(asked)
        return asked[1]

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Ask nobody: the server has rows of its own."""
        return []

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Return nothing: nobody was asked."""
        return None

    def summary(self) -> None:
        """Log nothing: the run directory says it all."""
