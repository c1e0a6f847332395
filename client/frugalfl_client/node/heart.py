"""Tell the SuperLink that the node is there, while it waits and while it trains."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from frugalfl.errors import FederationError
from frugalfl_client.node.flower import LEAST_HEARTBEAT_S, MOST_HEARTBEAT_S, Fleet

#: A node that heard nothing for so long (s) is not in the middle of a run.
_BUSY_S = 120.0
#: Heartbeats of a node that waits, in its longest waits.
_IDLE_WAITS = 5
#: Shares of the announced interval after which the next one goes along with a question, for which
#: there is a connection anyway, and after which it is sent in any case: in a run that leaves half a
#: minute in which the line may be broken, and the seconds until the node has found that it is back.
_EARLY, _LATEST = 0.7, 0.8


class Heart:
    """The heartbeats of one node.

    A SuperLink counts a node as gone after twice the interval that it announced. In a run that is
    a minute, as with Flower's own node; a node that waits announces longer ones, to save traffic.
    """

    def __init__(self, fleet: Fleet, idle: float) -> None:
        """Beat for a node that asks for work every ``idle`` seconds when nothing happens."""
        self._fleet = fleet
        self._idle = min(max(_IDLE_WAITS * idle, LEAST_HEARTBEAT_S), MOST_HEARTBEAT_S)
        self._due = self._overdue = 0.0
        self._beating = threading.Lock()

    def interval(self, silence: float) -> float:
        """Return the interval (s) of a node that heard nothing for ``silence`` seconds."""
        return LEAST_HEARTBEAT_S if silence < _BUSY_S else self._idle

    def announced(self, interval: float) -> None:
        """Note that the SuperLink expects the next one within ``interval`` seconds."""
        now = time.monotonic()
        self._due, self._overdue = now + _EARLY * interval, now + _LATEST * interval

    def due(self) -> bool:
        """Say whether one should go along with the next question."""
        return time.monotonic() >= self._due

    def left(self) -> float:
        """Return how long there is until one has to be sent (s); 0: that is now."""
        return max(0.0, self._overdue - time.monotonic())

    def beat(self, node: int, silence: float) -> bool:
        """Send one; ``False``: the SuperLink does not know the node any more."""
        interval = self.interval(silence)
        known = self._fleet.heartbeat(node, interval)
        self.announced(interval)
        return known

    @contextmanager
    def still(self) -> Iterator[None]:
        """Let no heartbeat be on its way while the ``with`` block lasts, which is to be short."""
        with self._beating:
            yield

    @contextmanager
    def beating(self, node: int) -> Iterator[None]:
        """Beat while the caller is at work; what goes wrong is for the caller's next call."""
        over = threading.Event()

        def work() -> None:
            while not over.wait(max(0.0, self._due - time.monotonic())):
                with self._beating:
                    try:
                        self.beat(node, 0.0)
                    except FederationError:
                        self.announced(LEAST_HEARTBEAT_S / 3)

        # One that was announced for an idle node is too far off to be waited for.
        if self._due > time.monotonic() + LEAST_HEARTBEAT_S:
            self._due = time.monotonic() + _EARLY * LEAST_HEARTBEAT_S
        thread = threading.Thread(target=work, name="heartbeats", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
