"""A round without the nodes that are gone, where those that are left are enough for its quorum.

Flower's strategies wait until as many nodes are connected as a round asks. Once a round has begun
with all of them, one that does not come back would hold up the run for good.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable

from flwr.app import Message
from flwr.serverapp import Grid

from frugalfl_server.exchange.views import View

#: How long a round waits for nodes that were there in the round before (s).
GONE_S = 10.0
#: The same after a ServerApp was started again: as long as an idle node takes to ask, and more.
RETURN_S = 150.0


class AbsentGrid(View):
    """The nodes of a Grid, and after a while numbers in place of those that are missing.

    What is addressed to these is not sent: :meth:`sent` leaves it out.
    """

    def __init__(
        self, grid: Grid, clients: int, least: int, patience_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """Begin a round.

        Args:
            grid: Where the nodes are.
            clients: As many as the round asks.
            least: As few as it may do with.
            patience_s: How long it waits for more (s).
            clock: Seconds that only go forward.
        """
        super().__init__(grid)
        self._clients, self._least, self._patience_s = clients, least, patience_s
        self._clock = clock
        self._began_s = clock()
        #: How many nodes are missing; 0: none, or they are waited for.
        self.missing = 0

    def get_node_ids(self) -> Iterable[int]:
        """Return the nodes that are there; ids of missing ones are below 0."""
        here = list(self._grid.get_node_ids())
        waited = self._clock() - self._began_s >= self._patience_s
        enough = waited and len(here) >= self._least
        self.missing = max(self._clients - len(here), 0) if enough else 0
        return here + [-number for number in range(1, self.missing + 1)]

    def sent(self, messages: Iterable[Message]) -> list[Message]:
        """Return what goes to nodes that are there."""
        return [message for message in messages if message.metadata.dst_node_id >= 0]


def least_of(quorum: float, clients: int) -> int:
    """Return how many updates the setting ``quorum`` asks of so many clients, at least 1."""
    return max(math.ceil(quorum * clients if quorum < 1 else quorum), 1)
