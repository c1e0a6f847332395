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

from frugalfl.errors import FrameError
from frugalfl.text import printable
from frugalfl_server.cohort.quarantine import Exclusion
from frugalfl_server.cohort.selection import Selection
from frugalfl_server.exchange.failures import ClientFailedError, TaskFailedError
from frugalfl_server.rounds.norm_bound import Far, Judge, NormBound
from frugalfl_server.rounds.open_answers import Opener
from frugalfl_server.rounds.row_claims import MOST_ROWS
from frugalfl_server.rounds.sums import Sums, Update
from frugalfl_server.rounds.traffic import Traffic

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
        self, opener: Opener, selection: Selection, norm_bound: float = 0.0, in_rounds: bool = True
    ) -> None:
        """Begin a phase.

        Args:
            opener: Opens the answers.
            selection: Its quarantine and sampler are told how clients did.
            norm_bound: The setting; 0: no bound.
            in_rounds: Mistakes of an answer that comes after its round are no failure of the next
                one. Not so if a step waits for nobody.
        """
        self.opener = opener
        self._selection = selection
        self._in_rounds = in_rounds
        self.bound = NormBound(norm_bound)
        #: The answers that wait for the end of the step.
        self.waiting: list[Waiting] = []
        #: Who goes into quarantine for what it sent in this step.
        self.exclusions: list[Exclusion] = []
        #: Names of the tensors that this step moves.
        self.moved: set[str] = set()
        self._capped: set[int] = set()
        self.traffic = Traffic(0)

    def begin(self, traffic: Traffic) -> None:
        """Begin a step of the model; ``traffic`` counts what it costs."""
        self.traffic = traffic
        self.moved = set()
        self.opener.begin(traffic)

    def open(self, message: Message) -> Update | Accepted | Refused:
        """Open an answer: ``Accepted`` if it has no update, and what it tells is taken."""
        try:
            update = self.opener.open(message)
            if update is None:
                self.opener.believe(message.metadata.src_node_id)
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
            self.opener.believe(update.message.metadata.src_node_id)
        except FrameError as error:
            self.opener.note_unrecorded(update)
            return self.refuse(update.message, error)
        return None

    def add(self, update: Update, sums: Sums, judge: Judge | None) -> Verdict:
        """Add an update whose sender is known to the step's sums, if the judge does not object."""
        # How much a claim of rows counts depends on everybody's, so it is worked out only now.
        update = replace(update, rows=self.opener.rows.weight_of(update.reply.samples))
        try:
            moved = sums.add(update, judge)
        except FrameError as error:
            return self.refuse(update.message, error, update)
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
        verdicts: list[Verdict] = []
        for one, far in zip(waiting, self.bound.settle([one.far for one in waiting]), strict=True):
            if far is None:
                verdicts.append(self.add(one.update, sums, None))
            else:
                self.traffic.far += 1
                verdicts.append(self.refuse(one.update.message, FrameError(far.why), one.update))
        self.bound.end_round()
        return verdicts

    def refuse(
        self, message: Message, error: FrameError, believed: Update | None = None
    ) -> Refused:
        """Refuse an answer; a late one is no failure of this round.

        Args:
            message: The answer.
            error: What is wrong.
            believed: Its update, if its word for who sent it was taken.
        """
        node, why = message.metadata.src_node_id, printable(str(error))
        wrong = not isinstance(error, ClientFailedError)
        if not self._is_of_this_round(message):
            _log.warning(f"node {node}, late by now: {why}")
        else:
            why = self.fail(node, error)
            if wrong:
                self.exclusions += self._selection.quarantine.note_wrong(
                    node, self.traffic.round, why
                )
        if wrong and self.opener.take_back(node) and believed is not None:
            self.opener.note_unrecorded(believed)
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

    def _note_right(self, message: Message) -> None:
        """Count an answer as it should be for quarantine and sampling."""
        if not self._is_of_this_round(message):
            return
        node = message.metadata.src_node_id
        self._selection.quarantine.note_right(node)
        if self._selection.sampler is not None:
            self._selection.sampler.note_reply(node)

    def _count(self, update: Update, moved: Iterable[str]) -> None:
        node, reply = update.message.metadata.src_node_id, update.reply
        self.traffic.updates += 1
        self.traffic.losses.append(reply.loss)
        self._selection.quarantine.unfit.note_trained(node)
        # Rows that are measured on are some of a client's own: they count no more than those.
        self.traffic.measured.note(reply.accuracy, reply.tally, reply.scored, update.rows)
        self.moved.update(moved)
        if update.rows < reply.samples and node not in self._capped:
            self._capped.add(node)
            _log.warning(
                f"node {node}: its {reply.samples} rows are more than {MOST_ROWS} times those of "
                f"the median client, and count as {update.rows}"
            )
