"""An answer of a round, opened: who sent it, what it used, and the update in it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace

from flwr.app import Message
from flwr.serverapp.strategy import QFedAvg, Strategy

from frugalfl import wire
from frugalfl.asynchronous import staleness_weight
from frugalfl.errors import FrameError
from frugalfl_server.cohort.check_energy import Told
from frugalfl_server.cohort.identity import Identities
from frugalfl_server.cohort.selection import Selection
from frugalfl_server.cohort.unrecorded_uploads import Unrecorded
from frugalfl_server.exchange.failures import failure_of
from frugalfl_server.rounds.questions import Asked, Questions
from frugalfl_server.rounds.row_claims import RowClaims
from frugalfl_server.rounds.sums import Update
from frugalfl_server.rounds.traffic import Traffic

_MOST_SAMPLES = 1 << 31

_log = logging.getLogger(__name__)


class Opener:
    """Opens the answers of a phase's rounds, and counts what they cost."""

    def __init__(
        self,
        strategy: Strategy,
        questions: Questions,
        selection: Selection,
        identities: Identities,
        in_rounds: bool,
    ) -> None:
        """Begin a phase.

        Args:
            strategy: Flower's, which may ask for losses above 0.
            questions: Know what was asked.
            selection: Its limits learn what clients used.
            identities: Know who is who.
            in_rounds: An answer that comes after its round counts less.
        """
        # QFedAvg takes a root of the loss.
        self._least_loss = 0.0 if isinstance(strategy, QFedAvg) else -wire.MOST_LOSS
        self._questions = questions
        self._selection = selection
        self._who = identities
        self._in_rounds = in_rounds
        self.rows = RowClaims()
        self.unrecorded = selection.quarantine.unrecorded
        #: What each node's newest answer tells, until that is taken or refused.
        self._told: dict[int, Told] = {}
        self._heard: set[tuple[int, int]] = set()
        self._traffic = Traffic(0)

    def begin(self, traffic: Traffic) -> None:
        """Begin a step of the model; ``traffic`` counts what it costs."""
        self._traffic = traffic
        self._heard = set()

    def expect(self, nodes: Iterable[int]) -> None:
        """Let nodes answer once more in this step."""
        again = set(nodes)
        self._heard = {key for key in self._heard if key[0] not in again}

    def open(self, message: Message) -> Update | None:
        """Unpack an answer and count it; ``None``: the client had nothing to give this time.

        Raises:
            FrameError: The client failed, or its answer is not as it should be.
        """
        node = message.metadata.src_node_id
        self._traffic.answers += 1
        if message.has_error():
            raise failure_of(message)
        number, asked = self._questions.answered_by(message)
        if (node, number) in self._heard:
            raise FrameError("it has answered in this round already")
        self._heard.add((node, number))
        took, recorded = Unrecorded([number], downlink_bytes=asked.sent_b), False
        try:
            update = self._read(message, number, asked, took)
            recorded = bool(self._told[node].records)
            return update
        finally:
            if not recorded:
                self.unrecorded.note(node, took)

    def _read(self, message: Message, number: int, asked: Asked, took: Unrecorded) -> Update | None:
        node = message.metadata.src_node_id
        reply = wire.unpack_reply(message)
        took.uplink_bytes = len(reply.frame)
        self._traffic.receive(len(reply.frame))
        self._told[node] = self._who.check(
            node, reply.records, reply.head, self._questions.run, number, asked.at_s
        )
        self._tell(node, reply)
        if reply.notice:
            _log.warning(f"node {node}: {reply.notice}")
        if not reply.frame:
            return None
        if asked.version < self._questions.downlink.oldest_version:
            raise FrameError("its update is of a subspace that has been folded since")
        possible = self._least_loss <= reply.loss <= wire.MOST_LOSS
        if not 0 < reply.samples <= _MOST_SAMPLES or not possible:
            raise FrameError(f"it trained on {reply.samples} rows, with a loss of {reply.loss}")
        self.rows.claim(node, reply.samples)
        return Update(message, self._discount(reply, number), asked, reply.samples)

    def believe(self, node: int) -> None:
        """Take a node's newest answer's word for who sent it and what it used.

        Raises:
            ClaimError: It is somebody else's number, or ledger.
        """
        told = self._told[node]
        for line in self._who.bind(told):
            _log.warning(line)
        self._traffic.take(told)

    def take_back(self, node: int) -> bool:
        """Take back what an answer told, if it was the node's first one; say whether it was."""
        told = self._told.get(node)
        if told is None or not self._who.withdraw(told):
            return False
        self._traffic.give_back(told)
        return True

    def note_unrecorded(self, update: Update) -> None:
        """Note what an update took whose energy records are left out."""
        about, sent_b = update.message.metadata, update.asked.sent_b
        took = Unrecorded([int(about.group_id)], len(update.reply.frame), sent_b)
        self.unrecorded.note(about.src_node_id, took)

    def _tell(self, node: int, reply: wire.TrainReply) -> None:
        """Tell everybody who keeps account of this client what it says of itself."""
        self._questions.downlink.confirm(node, reply.held)
        self._questions.planner.note_reply(node, reply)
        if self._selection.limits is not None:
            self._selection.limits.note_reply(node, reply)
        if self._questions.programs is not None:
            self._questions.programs.note_reply(node, reply, worked=bool(reply.frame))

    def _discount(self, reply: wire.TrainReply, number: int) -> wire.TrainReply:
        """Give an update less weight that was computed on an older round's model."""
        late = self._traffic.round - number
        if not late or not self._in_rounds:
            return reply
        self._traffic.late += 1
        return replace(reply, samples=max(int(reply.samples * staleness_weight(late)), 1))
