"""Questions about trees, and which answers to them count; every exchange is one round of Flower's.

The model does not travel as Flower's arrays but as frames that each client lacks
(:mod:`frugalfl.trees.parcel`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from flwr.app import Message

from frugalfl import wire
from frugalfl.errors import FrameError
from frugalfl.text import printable
from frugalfl.trees.ways import HISTOGRAM, Way
from frugalfl_server.cohort.identity import Identities
from frugalfl_server.cohort.unrecorded_uploads import Unrecorded
from frugalfl_server.exchange.ask import Answer, Question, receive, refuse
from frugalfl_server.exchange.cost import Cost
from frugalfl_server.exchange.failures import ClientFailedError, TaskFailedError
from frugalfl_server.trees.growing import Growing
from frugalfl_server.trees.grown import Grown
from frugalfl_server.trees.guard import Guard

_log = logging.getLogger(__name__)
#: Beyond any client's rows, and any mean log loss.
_MOST_ROWS, _MOST_LOSS = 1 << 31, 1e6


class Exchanges:
    """Asks clients, checks what they answer, and has a way of growing take it in.

    Attributes:
        cost: Of the exchange that goes on.
    """

    def __init__(
        self, growing: Growing, grown: Grown, way: Way, run: str, guard: Guard,
        who: Identities | None = None, resumed: tuple[int, ...] = (),
    ) -> None:  # fmt: skip
        """Begin.

        Args:
            growing: Takes in what clients contribute.
            grown: The model.
            way: What clients are to grow.
            run: Name of the run.
            guard: What is known of the clients, and who is in quarantine.
            who: Who is who in the run.
            resumed: Told to every client (:class:`~frugalfl.wire.TreesRequest`).
        """
        self._growing = growing
        self._grown = grown
        self._way = way
        self._run = run
        self._guard = guard
        self._who = who or Identities()
        self._resumed = resumed
        self.cost = Cost(1)
        self._began_s = time.monotonic()
        #: Nodes and exchanges of which an answer is awaited.
        self._awaited: set[tuple[int, int]] = set()
        #: Clients that were sent everything with the last question.
        self._sent_all: set[int] = set()
        #: Each client's newest answer.
        self._answers: dict[int, Answer[wire.TreesReply]] = {}
        #: Length of what each client was sent last (B).
        self._sent_b: dict[int, int] = {}

    @property
    def version(self) -> int:
        """The version that clients are brought to by segments."""
        # Finished trees of histograms come with the questions.
        return 1 if self._way.name == HISTOGRAM else self._grown.version

    def requests(self, number: int, nodes: Iterable[int]) -> list[Message]:
        """Begin an exchange: address each client that is asked with what it lacks of the model."""
        self.cost = Cost(number)
        there = sorted(nodes)
        asked = self._guard.whom(there, self._growing.begins)
        self.cost.set_aside = self._guard.quarantine.among(there)
        self._sent_all = set()
        return [self._request(number, node) for node in self._growing.whom(asked)]

    def _request(self, number: int, node: int) -> Message:
        version = self.version
        base, parcel = self._grown.parcel_for(node, version, self._growing.question(node))
        if base == -1:
            self._sent_all.add(node)
        self._awaited.add((node, number))
        self.cost.clients += 1
        request = wire.TreesRequest(
            self._run, number, base, version, parcel.pack(), str(self._way), self._resumed
        )
        content = wire.pack_trees_request(request)
        self.cost.send(content)
        self._sent_b[node] = wire.length_of(content)
        return self._question(number).to(node, content)

    def _question(self, number: int) -> Question[wire.TreesReply]:
        return Question(
            self._run, number, wire.TREES, wire.unpack_trees_reply, self._who,
            f"round {self.cost.round}: ",
        )  # fmt: skip

    def take(self, replies: Iterable[Message]) -> dict[int, wire.TreesReply]:
        """Return the answers that count, by node; name everybody else."""
        taken: dict[int, wire.TreesReply] = {}
        # Sums of floats depend on their order, and replies come in any.
        for message in sorted(replies, key=lambda reply: reply.metadata.src_node_id):
            node = message.metadata.src_node_id
            try:
                reply = self._received(message)
                if reply is None:
                    continue
                self._growing.take_in(node, reply)
            except FrameError as error:
                self._fail(node, error)
                continue
            taken[node] = reply
            self._guard.quarantine.unfit.note_trained(node)
        for node, why in self._growing.outliers().items():
            self._growing.drop(node)
            del taken[node]
            self._fail(node, FrameError(f"{why}; it does not count"))
        self._name_silent()
        self.cost.updates = len(taken)
        for failure in [*self.cost.failures, *self._guard.newly_capped(taken)]:
            _log.warning(failure)
        return taken

    def _received(self, message: Message) -> wire.TreesReply | None:
        """Return a sound reply; ``None``: the client lacks what the question builds on.

        Raises:
            FrameError: It is an error, or says what cannot be.
        """
        node, number = message.metadata.src_node_id, self._exchange_of(message)
        in_time = number == self.cost.round
        asked_s = self.cost.started_s if in_time else self._began_s
        answer = self._opened(message, number, asked_s)
        reply, self._answers[node] = answer.reply, answer
        self._grown.confirm(node, reply.held)
        if not in_time:
            raise ClientFailedError(f"its answer of round {number} came too late")
        if reply.held != self.version:
            if node in self._sent_all:
                raise FrameError(f"it was sent everything, and says it holds version {reply.held}")
            why = f"it holds version {reply.held}; the next round brings what it lacks"
            self._fail(node, ClientFailedError(why))
            return None
        if not (0 < reply.samples < _MOST_ROWS and 0 <= reply.loss < _MOST_LOSS):
            raise FrameError(f"it claims {reply.samples} rows with a loss of {reply.loss}")
        self._guard.claims(node, reply.samples)
        return reply

    def _opened(self, message: Message, number: int, asked_s: float) -> Answer[wire.TreesReply]:
        """Open a reply; if no energy records of it are taken, note what it took.

        Raises:
            FrameError: It is an error, or says what cannot be.
        """
        node, up_b, recorded = message.metadata.src_node_id, None, message.has_error()
        self._answers.pop(node, None)
        try:
            answer = receive(message, self._question(number), self.cost, asked_s)
            up_b, recorded = answer.reply.uplink_bytes, bool(answer.told.records)
            return answer
        finally:
            if not recorded:
                self._note_unrecorded(node, up_b)

    def _note_unrecorded(self, node: int, up_b: int | None) -> None:
        took = Unrecorded([self.cost.round], up_b, self._sent_b.get(node, 0))
        self._guard.quarantine.unrecorded.note(node, took)

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

    def _name_silent(self) -> None:
        number = self.cost.round
        for node in sorted(node for node, asked in self._awaited if asked == number):
            self._fail(node, ClientFailedError("no answer"))
            # Histograms name who is lost themselves: it costs the others the tree.
            if self._way.name != HISTOGRAM:
                self._guard.silent(node)

    def _fail(self, node: int, error: FrameError) -> None:
        """Note that a client contributed nothing, and what follows."""
        number, said = self.cost.round, printable(str(error))
        if isinstance(error, TaskFailedError):
            said = self._guard.task_failed(node, number, said)
            self.cost.unfit += 1
        self._guard.faulty.add(node)
        self.cost.failures.append(f"round {number}: node {node}: {said}")
        if not isinstance(error, ClientFailedError):
            answer = self._answers.pop(node, None)
            if answer is not None and refuse(answer, self._question(number), self.cost):
                self._note_unrecorded(node, answer.reply.uplink_bytes)
            self.cost.failures += map(str, self._guard.note_wrong(node, number, said))
