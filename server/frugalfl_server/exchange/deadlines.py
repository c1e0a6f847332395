"""A Grid with deadlines, for devices that are slow, away, or still at work on something else.

Flower's own ``send_and_receive`` looks for replies every 3 s, sends messages that live for 12 h,
and forgets what comes after its timeout: a device that was late works off old questions and misses
the rounds after it as well. Here

- replies are looked for at once, then ever less often, up to every 2 s;
- a message lives a little shorter than its round, so that a device never begins what nobody waits
  for any more; SuperLink drops it;
- a round of which enough have answered is closed, and what still comes while its message lives is
  handed over with the next round;
- a device that was killed while it worked, and is back, is asked the same once more; so is one that
  is silent for much longer than it takes, since SuperLink hands a message out once, and what was on
  its way when a line broke or a process died is lost;
- a device that has not answered is not asked again while its message lives, nor, where there are
  enough others, in the round after.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from flwr.app import Message, MessageType, RecordDict
from flwr.serverapp import Grid

from frugalfl import wire
from frugalfl_server.exchange.clock import answers_all, now_s
from frugalfl_server.exchange.flower import ErrorCode
from frugalfl_server.exchange.view import View

_log = logging.getLogger(__name__)

#: Between two looks for replies (s): a share of the time waited so far, within bounds.
_SHARE, _SHORTEST_S, _LONGEST_S = 0.05, 0.02, 2.0
#: A message lives shorter than its round by this share of it, and by so much at most (s).
_MARGIN_SHARE, _MARGIN_S = 0.05, 2.0
#: How often a node is asked the same in one round: it may be what the node dies of.
_MOST_TRIES = 4
#: A node is silent after so many times the longest that it ever took, or the slowest who has
#: answered in this round; but not before so long (s). If nobody has answered, all may be at work.
_SILENT_TIMES, _SILENT_S = 5.0, 30.0
#: What SuperLink says in place of a node that is away, or that let its message expire.
_NOT_OF_THE_NODE = {
    ErrorCode.MESSAGE_UNAVAILABLE: "did not answer in time",
    ErrorCode.REPLY_MESSAGE_UNAVAILABLE: "did not answer in time",
    ErrorCode.NODE_UNAVAILABLE: "went away",
    ErrorCode.CLIENT_APP_CRASHED: "stopped working",
}


@dataclass(frozen=True)
class _Sent:
    """A message without a reply yet: its place, its node, when it was sent and when it expires (s).

    ``content`` is what it was made of: on the way it may have been folded.
    """

    place: int
    node: int
    train: bool
    since_s: float
    expires_s: float
    message: Message
    content: RecordDict
    tries: int = 1


class RoundGrid(View):
    """A Grid whose :meth:`send_and_receive` keeps to a deadline."""

    def __init__(
        self,
        grid: Grid,
        clients: int,
        deadline_s: float = 0.0,
        close_early: bool = False,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        """Wrap a Grid.

        Args:
            grid: Flower's.
            clients: Clients that a round wants.
            deadline_s: Longest time of a round (s); 0: as long as the caller waits.
            close_early: Close a training round once so many clients have answered.
            clock: Seconds that only go forward; by default the Grid's.
            sleep: Lets so many seconds (s) pass; by default none of a simulated fleet's.
        """
        super().__init__(grid)
        of_fleet = answers_all(grid)
        self._clients = clients
        self._deadline_s = deadline_s
        self._close_early = close_early
        self._clock = clock or (partial(now_s, grid) if of_fleet else time.monotonic)
        self._sleep = sleep or (_go_on if of_fleet else time.sleep)
        self._open: dict[str, _Sent] = {}
        self._places: dict[str, int] = {}
        self._late: list[Message] = []
        self._own: set[str] = set()
        self._took_s: dict[int, float] = {}
        #: Time of the slowest answer of this round (s); ``None``: there is none yet.
        self._slowest_s: float | None = None
        self._resting: set[int] = set()
        self._told = ""
        #: Nodes that gave no answer to the last call, and why.
        self.missing: dict[int, str] = {}
        self._again_bytes = 0
        #: Whether anybody whose message is open was asked twice.
        self._twins = False

    def again_bytes(self) -> int:
        """Return the length (B) of what was sent once more since this was asked last."""
        taken, self._again_bytes = self._again_bytes, 0
        return taken

    def get_node_ids(self) -> Iterable[int]:
        """Return the nodes that can be asked now, in the order of their numbers."""
        here = sorted(self._grid.get_node_ids())
        busy = self._busy()
        if busy and len([node for node in here if node not in busy]) < self._clients:
            self._late += self._pull(self._open)
            busy = self._busy()
        free = [node for node in here if node not in busy] if busy else here
        resting = self._resting
        rested = [node for node in free if node not in resting] if resting else free
        self._tell_who_is_missing(len(free), len(here))
        return rested if len(rested) >= self._clients else free

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Send messages and wait for the replies, until the deadline at the longest.

        Returns:
            Replies in the order of the messages, whatever order they came in, then those to
            earlier training rounds. Errors of SuperLink's own are not among them, but in
            :attr:`missing`.
        """
        sent = list(messages)
        self.missing = {}
        if not sent:
            return []
        began_s = self._clock()
        if self.answers_all:
            timeout = None  # a simulated fleet may take hours, and nobody waits for them
        limits = [limit for limit in (timeout, self._deadline_s or None) if limit is not None]
        limit_s = min(limits, default=None)
        own = self._push(sent, began_s, limit_s)
        self._own = own
        training = sent[0].metadata.message_type.startswith(MessageType.TRAIN)
        enough = min(self._clients, len(sent)) if training and self._close_early else len(sent)
        answers: list[tuple[int, Message]] = []
        self._slowest_s = None
        late, self._late = (self._late, []) if training else ([], self._late)
        while own & self._open.keys():
            for reply in self._pull(self._open if training else own & self._open.keys()):
                number = reply.metadata.reply_to_message_id
                if number in own:
                    answers.append((self._places[number], reply))
                else:
                    late.append(reply)
            waited_s = self._clock() - began_s
            self._ask_the_silent(waited_s)
            useful = sum(not reply.has_error() for _, reply in answers)
            over = limit_s is not None and waited_s >= limit_s
            if over or useful >= enough or not own & self._open.keys():
                break
            pause_s = min(max(_SHARE * waited_s, _SHORTEST_S), _LONGEST_S)
            self._sleep(pause_s if limit_s is None else min(pause_s, max(limit_s - waited_s, 0)))
        for number in own & self._open.keys():
            self.missing[self._open[number].node] = "has not answered yet"
        if training:
            self._resting = set(self.missing)
        self._name_the_lost()
        return [reply for _, reply in sorted(answers, key=lambda answer: answer[0])] + late

    def _name_the_lost(self) -> None:
        """Say who of a simulated fleet gave no answer: whoever simulates wants to know."""
        if self.answers_all and self.missing:
            lost = ", ".join(f"node {node}: {why}" for node, why in sorted(self.missing.items()))
            _log.warning(f"{len(self.missing)} gave no answer: {lost}")

    def _push(self, sent: Sequence[Message], now_s: float, limit_s: float | None) -> set[str]:
        """Send messages that live a little shorter than the round; return their numbers."""
        lives_s = float("inf")
        if limit_s is not None:
            lives_s = limit_s - min(_MARGIN_SHARE * limit_s, _MARGIN_S)
            for message in sent:
                message.metadata.ttl = lives_s
        train = sent[0].metadata.message_type.startswith(MessageType.TRAIN)
        nodes = [message.metadata.dst_node_id for message in sent]
        contents = [message.content for message in sent]
        numbers = [*self._grid.push_messages(sent)]
        numbers += [""] * (len(nodes) - len(numbers))  # Flower returns none where all are too large
        self._places = {number: place for place, number in enumerate(numbers) if number}
        for message, content, node, number in zip(sent, contents, nodes, numbers, strict=True):
            if number:
                place = self._places[number]
                self._open[number] = _Sent(
                    place, node, train, now_s, now_s + lives_s, message, content
                )
            else:
                self.missing[node] = "could not be sent its message"
        return set(self._places)

    def _pull(self, numbers: Iterable[str]) -> list[Message]:
        """Fetch replies to messages that are without one."""
        found = []
        replies = self._grid.pull_messages(set(numbers))
        for reply in sorted(replies, key=lambda reply: reply.has_error()):
            sent = self._open.pop(reply.metadata.reply_to_message_id, None)
            if sent is None:
                continue
            if not reply.has_error():
                self._note_time(sent, reply.metadata.reply_to_message_id in self._own)
                self._close_twins(sent)
            if reply.has_error() and self._asked_again(reply, sent):
                continue
            if reply.has_error() and reply.error.code in _NOT_OF_THE_NODE:
                self.missing[sent.node] = _NOT_OF_THE_NODE[reply.error.code]
            else:
                found.append(reply)
        return found

    def _close_twins(self, sent: _Sent) -> None:
        """Close what a node that has answered was asked beside that, in case: it is answered too.

        Only in a round in which somebody was asked twice: this is done for every reply.
        """
        if self._twins:
            self._open = {n: o for n, o in self._open.items() if not _is_twin(o, sent)}

    def _asked_again(self, reply: Message, sent: _Sent) -> bool:
        """Ask a node once more that was killed while it worked, if there is time left."""
        mine = reply.metadata.reply_to_message_id in self._own
        if reply.error.code != ErrorCode.CLIENT_APP_CRASHED or not mine:
            return False
        if not self._ask_once_more(sent):
            return False
        _log.info(f"node {sent.node} was killed while it worked, and is asked once more")
        return True

    def _note_time(self, sent: _Sent, own: bool) -> None:
        """Keep the longest time that a node has taken, and anybody for this round."""
        took_s = self._clock() - sent.since_s
        self._took_s[sent.node] = max(took_s, self._took_s.get(sent.node, 0.0))
        if own:
            self._slowest_s = max(took_s, self._slowest_s or 0.0)

    def _ask_the_silent(self, waited_s: float) -> None:
        """Ask nodes once more whose messages, or answers, must have been lost on the way."""
        if self._slowest_s is None or self.answers_all:
            return
        for number in sorted(self._own & self._open.keys()):
            sent = self._open[number]
            usual_s = max(self._slowest_s, self._took_s.get(sent.node, 0.0))
            patience_s = max(_SILENT_TIMES * usual_s, _SILENT_S) * 2 ** (sent.tries - 1)
            if waited_s > patience_s and self._ask_once_more(sent):
                # The first message is waited for as well, but not a reason to ask any more.
                self._open[number] = replace(sent, tries=_MOST_TRIES)
                _log.info(
                    f"node {sent.node} is silent for {waited_s:.0f} s, and is asked once more"
                )

    def _ask_once_more(self, sent: _Sent) -> bool:
        """Send a node its question again, if there is time left and it was not asked too often."""
        left_s = sent.expires_s - self._clock()
        if left_s <= 0 or sent.tries >= _MOST_TRIES or not wire.is_ours(sent.content):
            return False
        about = sent.message.metadata
        content = wire.asked_again(sent.content)
        message = Message(
            content, dst_node_id=sent.node, message_type=about.message_type,
            group_id=about.group_id, ttl=min(left_s, about.ttl),
        )  # fmt: skip
        number = next(iter(self._grid.push_messages([message])), "")
        if not number:
            return False
        self._own.add(number)
        self._twins = True
        self._places[number] = sent.place
        self._open[number] = replace(
            sent, since_s=self._clock(), message=message, tries=sent.tries + 1
        )
        self._again_bytes += wire.length_of(content)
        return True

    def _busy(self) -> set[int]:
        """Forget messages that have expired; return the nodes that the others were sent to."""
        now_s = self._clock()
        self._open = {n: sent for n, sent in self._open.items() if sent.expires_s > now_s}
        self._twins = self._twins and bool(self._open)
        return {sent.node for sent in self._open.values()}

    def _tell_who_is_missing(self, free: int, here: int) -> None:
        """Say, whenever it changes, what a round waits for."""
        told = ""
        if free < self._clients:
            told = f"waiting for nodes: {here} connected, {self._clients} needed"
            if here > free:
                told += f", {here - free} still at work on an earlier round"
        if told and told != self._told:
            _log.info(told)
        self._told = told


def _go_on(_: float) -> None:
    """Let no time pass: looking for the replies of a simulated fleet moves its clock."""


def _is_twin(one: _Sent, other: _Sent) -> bool:
    """Say whether two messages are the same question to a node, asked twice."""
    return one.node == other.node and one.content is other.content
