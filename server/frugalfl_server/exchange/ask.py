"""One exchange: a question to a cohort, and the answers to it; written once, for all questions.

What every question has in common is here: send it, open the replies, see that each node is who it
says, count bytes and joules, and name who failed or was silent. What an answer means is for whoever
asked; if that finds it wrong, :func:`refuse` takes back what the answer had told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from frugalfl import wire
from frugalfl.energy import EnergyRecord, Head
from frugalfl.errors import FrameError
from frugalfl_server.exchange.cost import Cost, Statement
from frugalfl_server.exchange.failures import ClientFailedError, failure_of

_log = logging.getLogger(__name__)
#: As long as a training round may take in Flower's own strategies (s).
_TIMEOUT_S = 3600.0


_Told = TypeVar("_Told", bound=Statement)
_Reply = TypeVar("_Reply", bound=wire.AnyReply)


class Register(Protocol[_Told]):
    """Who is who in a run (:class:`~frugalfl_server.cohort.identity.Identities`)."""

    def check(
        self, node: int, records: Sequence[EnergyRecord], head: Head | None, run: str, round_: int,
        asked_s: float,
    ) -> _Told:  # fmt: skip
        """Check what a reply tells, and that its node may say so."""

    def bind(self, told: _Told) -> list[str]:
        """Take an answer's word for who sent it; return a line about all that is unusual."""

    def withdraw(self, told: _Told) -> bool:
        """Undo a bond whose first answer turned out to be wrong; say whether there was one."""


@dataclass(frozen=True)
class Question(Generic[_Reply]):
    """What is asked, and how its answers are opened.

    Attributes:
        run: Name of the run.
        round: Round that it belongs to.
        message_type: Flower's, of :mod:`frugalfl.wire`.
        unpack: Opens a reply.
        who: Who is who in the run.
        about: What lines about it begin with, such as ``"bins: "``.
    """

    run: str
    round: int
    message_type: str
    unpack: Callable[[Message], _Reply]
    who: Register[Any]
    about: str = ""

    def to(self, node: int, content: RecordDict) -> Message:
        """Address it to a node."""
        return Message(
            content, dst_node_id=node, message_type=self.message_type, group_id=str(self.round)
        )


@dataclass(frozen=True)
class Answer(Generic[_Reply]):
    """A sound answer.

    Attributes:
        node: Who gave it.
        reply: What it says.
        told: What it tells of its device, which the cost has counted.
    """

    node: int
    reply: _Reply
    told: Statement


def ask(
    grid: Grid, question: Question[_Reply], requests: Iterable[tuple[int, RecordDict]], cost: Cost,
    fail: Callable[[int, FrameError], None] | None = None,
) -> Iterator[Answer[_Reply]]:  # fmt: skip
    """Send a question; yield the sound answers, and name everybody else.

    Args:
        grid: Flower's way to the clients.
        question: What is asked.
        requests: By node, what it is sent.
        cost: Takes bytes, energy records and heads.
        fail: Told about each node that gave no sound answer; by default ``cost``.
    """
    messages = [question.to(node, content) for node, content in requests]
    silent = {message.metadata.dst_node_id for message in messages}
    for message in messages:
        cost.send(message.content)
    fail = fail or cost.fail
    for message in grid.send_and_receive(messages, timeout=_TIMEOUT_S) if messages else ():
        node = message.metadata.src_node_id
        silent.discard(node)
        try:
            yield receive(message, question, cost)
        except FrameError as error:
            fail(node, error)
    for node in sorted(silent):
        fail(node, ClientFailedError("no answer"))


def receive(
    message: Message, question: Question[_Reply], cost: Cost, asked_s: float | None = None
) -> Answer[_Reply]:
    """Open a reply, see who sent it, and count what it cost.

    Args:
        message: The reply.
        question: What it answers.
        cost: Takes bytes, energy records and heads.
        asked_s: When that was asked (s, monotonic clock); by default when ``cost`` began.

    Raises:
        FrameError: It is an error, cannot be read, or says what its node may not.
    """
    node = message.metadata.src_node_id
    cost.answers += 1
    if message.has_error():
        raise failure_of(message)
    reply = question.unpack(message)
    told = question.who.check(
        node, reply.records, reply.head, question.run, question.round,
        cost.started_s if asked_s is None else asked_s,
    )  # fmt: skip
    for line in question.who.bind(told):
        _log.warning(f"{question.about}{line}")
    cost.take(told)
    cost.receive(reply.uplink_bytes)
    if reply.notice:
        _log.warning(f"{question.about}node {node}: {reply.notice}")
    return Answer(node, reply, told)


def refuse(answer: Answer[Any], question: Question[Any], cost: Cost) -> bool:
    """Take back what an answer told of its device, if it was the node's first one; say whether."""
    withdrawn = question.who.withdraw(answer.told)
    if withdrawn:
        cost.give_back(answer.told)
    return withdrawn
