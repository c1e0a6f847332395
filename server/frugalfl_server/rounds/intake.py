"""Where an answer is accepted, has to wait, or is refused: one client's trouble costs its own.

An answer is first opened: is it of this run, from who it says, are its joules possible? Then its
update is checked and added to the sums of the step. If the norm bound has it wait, that is decided
once all others are in.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace

from flwr.app import Message
from flwr.serverapp.strategy import QFedAvg, Strategy

from frugalfl import wire
from frugalfl.asynchronous import staleness_weight
from frugalfl.errors import FrameError
from frugalfl.text import printable
from frugalfl_server.cohort.check_energy import Told
from frugalfl_server.cohort.identity import Identities, without
from frugalfl_server.cohort.quarantine import (
    ClientFailedError,
    Sentence,
    TaskFailedError,
    failure_of,
)
from frugalfl_server.cohort.selection import Selection
from frugalfl_server.rounds.norm_bound import Far, Judge, NormBound
from frugalfl_server.rounds.questions import Questions
from frugalfl_server.rounds.row_claims import MOST_ROWS, Rows
from frugalfl_server.rounds.sums import Sums, Update
from frugalfl_server.rounds.traffic import Traffic

_MOST_SAMPLES = 1 << 31
_MOST_LOSS = 1e15

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Accepted:
    """An answer that counts.

    Attributes:
        moved: Names of the tensors that its update moves; none: the client had nothing to give.
    """

    moved: tuple[str, ...] = ()


@dataclass(frozen=True)
class Waiting:
    """An update of which is decided at the end of the step.

    Attributes:
        update: The update.
        far: Why it waits.
    """

    update: Update
    far: Far


@dataclass(frozen=True)
class Refused:
    """An answer that does not count.

    Attributes:
        why: In one line.
    """

    why: str


Verdict = Accepted | Waiting | Refused


class Intake:
    """Takes in the answers of a phase's rounds."""

    def __init__(
        self,
        strategy: Strategy,
        questions: Questions,
        selection: Selection,
        identities: Identities,
        norm_bound: float = 0.0,
        in_rounds: bool = True,
    ) -> None:
        """Begin a phase.

        Args:
            strategy: Flower's, which may ask for losses above 0.
            questions: Know what was asked.
            selection: Its quarantine, limits and sampler are told how clients did.
            identities: Know who is who.
            norm_bound: The setting; 0: no bound.
            in_rounds: An answer that comes after its round counts less, and its mistakes are no
                failure of the next one. Not so if a step waits for nobody.
        """
        # QFedAvg takes a root of the loss.
        self._least_loss = 0.0 if isinstance(strategy, QFedAvg) else -_MOST_LOSS
        self._questions = questions
        self._selection = selection
        self._who = identities
        self._in_rounds = in_rounds
        self.bound = NormBound(norm_bound)
        self.rows = Rows()
        #: The answers that wait for the end of the step.
        self.waiting: list[Waiting] = []
        #: Who goes into quarantine for what it sent in this step.
        self.sentences: list[Sentence] = []
        #: Names of the tensors that this step moves.
        self.moved: set[str] = set()
        #: What each node's newest answer tells, until that is taken or refused.
        self._told: dict[int, Told] = {}
        self._heard: set[tuple[int, int]] = set()
        self._capped: set[int] = set()
        self.traffic = Traffic(0, 0.0)

    def begin(self, traffic: Traffic) -> None:
        """Begin a step of the model; ``traffic`` counts what it costs."""
        self.traffic = traffic
        self.moved = set()
        self._heard = set()

    def expect(self, nodes: Iterable[int]) -> None:
        """Let nodes answer once more in this step."""
        gone = set(nodes)
        self._heard = {key for key in self._heard if key[0] not in gone}

    def open(self, message: Message) -> Update | Accepted | Refused:
        """Open an answer: ``Accepted`` if it has no update, and what it tells is taken."""
        try:
            update = self._received(message)
            if update is None:
                self._accept(message)
        except FrameError as error:
            return self.refuse(message, error)
        if update is not None:
            return update
        self._note_right(message)
        return Accepted()

    def take(self, update: Update, sums: Sums) -> Verdict:
        """Take an opened update in; the norm bound may have it wait for :meth:`settle`."""
        return self.accept(update) or self.add(update, sums, self.bound.judge)

    def accept(self, update: Update) -> Refused | None:
        """Take an answer's word for who sent it; ``None``: its update may be added."""
        try:
            self._accept(update.message)
        except FrameError as error:
            return self.refuse(update.message, error)
        return None

    def add(self, update: Update, sums: Sums, judge: Judge | None) -> Verdict:
        """Add an update whose sender is known to the step's sums, if the judge does not object."""
        # How much a claim of rows counts depends on everybody's, so it is worked out only now.
        update = replace(update, rows=self.rows.weight_of(update.reply.samples))
        try:
            moved = sums.add(update, judge)
        except FrameError as error:
            return self.refuse(update.message, error)
        if isinstance(moved, Far):
            return self.wait(update, moved)
        self._count(update, moved)
        self._note_right(update.message)
        return Accepted(moved)

    def wait(self, update: Update, far: Far) -> Waiting:
        """Have an update wait for the end of the step."""
        self.waiting.append(Waiting(update, far))
        return self.waiting[-1]

    def settle(self, sums: Sums) -> list[Verdict]:
        """Decide about the updates that wait, now that all others of the step are in."""
        waiting, self.waiting = self.waiting, []
        found = self.bound.settle([one.far for one in waiting])
        verdicts = [
            self._settled(one.update, far, sums) for one, far in zip(waiting, found, strict=True)
        ]
        self.bound.end_round()
        return verdicts

    def _settled(self, update: Update, far: Far | None, sums: Sums) -> Verdict:
        if far is None:
            return self.add(update, sums, None)
        self.traffic.far += 1
        return self.refuse(update.message, FrameError(far.why))

    def refuse(self, message: Message, error: FrameError) -> Refused:
        """Refuse an answer; a late one is no failure of this round."""
        node, why = message.metadata.src_node_id, printable(str(error))
        wrong = not isinstance(error, ClientFailedError)
        if not self._is_of_this_round(message):
            _log.warning(f"node {node}, late by now: {why}")
        else:
            why = self.fail(node, error)
            if wrong:
                self.sentences += self._selection.quarantine.wrong(node, self.traffic.round, why)
        if wrong:
            self._withdraw(node)
        return Refused(why)

    def fail(self, node: int, error: Exception) -> str:
        """Note that a node could not be asked, or did not answer as it should; return why."""
        why = printable(str(error))
        if isinstance(error, TaskFailedError):
            self.traffic.unfit += 1
            why = self._selection.quarantine.task_failed(node, self.traffic.round, why)
        self.traffic.failures.append(f"node {node}: {why}")
        return why

    def _is_of_this_round(self, message: Message) -> bool:
        """Say whether an answer belongs to the round that goes on."""
        return not self._in_rounds or message.metadata.group_id == str(self.traffic.round)

    def _received(self, message: Message) -> Update | None:
        """Unpack an answer and count it; ``None``: the client had nothing to give this time.

        Raises:
            FrameError: The client failed, or its answer is not as it should be.
        """
        node = message.metadata.src_node_id
        self.traffic.answers += 1
        if message.has_error():
            raise failure_of(message)
        number, asked = self._questions.answered_by(message)
        if (node, number) in self._heard:
            raise FrameError("it has answered in this round already")
        self._heard.add((node, number))
        reply = wire.unpack_reply(message)
        self.traffic.uplink_bytes += len(reply.frame)
        self._told[node] = self._who.check(
            node, reply.records, reply.head, self._questions.run, number, asked.at_s
        )
        self._tell(node, reply)
        if reply.notice:
            _log.warning(f"node {node}: {reply.notice}")
        if not reply.frame:
            return None
        if (
            not 0 < reply.samples <= _MOST_SAMPLES
            or not self._least_loss <= reply.loss <= _MOST_LOSS
        ):
            raise FrameError(f"it trained on {reply.samples} rows, with a loss of {reply.loss}")
        self.rows.claim(node, reply.samples)
        return Update(message, self._discount(reply, number), asked, reply.samples)

    def _tell(self, node: int, reply: wire.TrainReply) -> None:
        """Tell everybody who keeps account of this client what it says of itself."""
        self._questions.downlink.confirm(node, reply.held)
        self._questions.planner.heard(node, reply)
        if self._selection.limits is not None:
            self._selection.limits.heard(node, reply)
        if self._questions.programs is not None:
            self._questions.programs.heard(node, reply, worked=bool(reply.frame))

    def _discount(self, reply: wire.TrainReply, number: int) -> wire.TrainReply:
        """Give an update less weight that was computed on an older round's model."""
        late = self.traffic.round - number
        if not late or not self._in_rounds:
            return reply
        self.traffic.late += 1
        return replace(reply, samples=max(int(reply.samples * staleness_weight(late)), 1))

    def _accept(self, message: Message) -> None:
        """Take an answer's word for who sent it and what it used.

        Raises:
            ClaimError: It is somebody else's number, or ledger.
        """
        told = self._told[message.metadata.src_node_id]
        for line in self._who.bind(told):
            _log.warning(line)
        self.traffic.heads += told.heads
        self.traffic.energy += told.records

    def _withdraw(self, node: int) -> None:
        """Take back what an answer told, if it was the node's first one, and wrong."""
        told = self._told.get(node)
        if told is not None and self._who.withdraw(told):
            self.traffic.energy = without(told, self.traffic.energy)
            self.traffic.heads = [one for one in self.traffic.heads if one not in told.heads]

    def _note_right(self, message: Message) -> None:
        """Count an answer as it should be for quarantine and sampling."""
        if not self._is_of_this_round(message):
            return
        node = message.metadata.src_node_id
        self._selection.quarantine.right(node)
        if self._selection.sampler is not None:
            self._selection.sampler.heard(node)

    def _count(self, update: Update, moved: Iterable[str]) -> None:
        node, reply = update.message.metadata.src_node_id, update.reply
        self.traffic.updates += 1
        self._selection.quarantine.unfit.trained(node)
        # Rows that are measured on are some of a client's own: they count no more than those.
        self.traffic.measured.note(reply.accuracy, reply.tally, reply.scored, update.rows)
        self.moved.update(moved)
        if update.rows < reply.samples and node not in self._capped:
            self._capped.add(node)
            _log.warning(
                f"node {node}: its {reply.samples} rows are more than {MOST_ROWS} times those of "
                f"the median client, and count as {update.rows}"
            )
