"""Who is at work: messages that have gone out, and replies as they come in."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from flwr.app import Error, Message
from flwr.serverapp import Grid

from frugalfl_server.exchange.clock import answers_all, now_s
from frugalfl_server.exchange.flower import ErrorCode

#: How long to wait before asking for replies again (s): at first, and at most.
_POLL_S, _MOST_POLL_S = 0.05, 1.0
#: A client that has not answered for so long is given up (s); Flower's own figure for a round.
GIVEN_UP_S = 3600.0


@dataclass(frozen=True)
class _Sent:
    message: Message
    since_s: float


class InFlight:
    """The clients that have been asked and have not answered yet, each once."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._sent: dict[str, _Sent] = {}
        #: Replies that have come and were not received yet.
        self.come: deque[Message] = deque()

    def __len__(self) -> int:
        return len(self._sent)

    @property
    def nodes(self) -> set[int]:
        """The nodes that are at work."""
        return {sent.message.metadata.dst_node_id for sent in self._sent.values()}

    def send(self, messages: Iterable[Message]) -> None:
        """Ask clients; one that cannot be reached is not at work."""
        going = list(messages)
        if not going:
            return
        since_s = now_s(self._grid)
        for known, message in zip(self._grid.push_messages(going), going, strict=False):
            if known:  # Flower gives None for what it could not send
                self._sent[known] = _Sent(message, since_s)

    def receive(self) -> Message:
        """Return the next reply; wait for it where there is none yet.

        Where a client takes longer than :data:`GIVEN_UP_S`, it is an error that is made here.
        """
        pause_s = _POLL_S
        while not self.come:
            for reply in self._grid.pull_messages(list(self._sent)):
                self._sent.pop(reply.metadata.reply_to_message_id, None)
                self.come.append(reply)
            self.come += self._given_up()
            if not self.come:
                time.sleep(pause_s)
                pause_s = min(1.5 * pause_s, _MOST_POLL_S)
        return self.come.popleft()

    def _given_up(self) -> list[Message]:
        if answers_all(self._grid):
            return []
        since_s = now_s(self._grid) - GIVEN_UP_S
        late = [known for known, sent in self._sent.items() if sent.since_s < since_s]
        reason = f"no answer within {GIVEN_UP_S:.0f} s"
        return [
            Message(
                Error(ErrorCode.MESSAGE_UNAVAILABLE, reason), reply_to=self._sent.pop(known).message
            )
            for known in late
        ]
