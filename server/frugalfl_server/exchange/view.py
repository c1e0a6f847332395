"""Views of Flower's Grid: all of it, or exactly the clients that a round has chosen."""

from __future__ import annotations

from collections.abc import Iterable

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from frugalfl_server.exchange.clock import answers_all
from frugalfl_server.exchange.flower import Run


class View(Grid):
    """A Grid that hands everything on; a subclass names the nodes."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid

    def set_run(self, run: Run) -> None:
        """Set Flower's description of the run."""
        self._grid.set_run(run)

    @property
    def run(self) -> Run:
        """Flower's description of the run."""
        return self._grid.run

    @property
    def simulated_s(self) -> float | None:
        """The clock of a simulation with delays (s); ``None``: time is real."""
        return getattr(self._grid, "simulated_s", None)

    @property
    def answers_all(self) -> bool:
        """Whether every message is answered some day, as those to a simulated fleet are."""
        return answers_all(self._grid)

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Make a message to a node."""
        return self._grid.create_message(content, message_type, dst_node_id, group_id, ttl)

    def get_node_ids(self) -> Iterable[int]:
        """Return the nodes that are connected."""
        return self._grid.get_node_ids()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send messages."""
        return self._grid.push_messages(messages)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Fetch the replies to these messages."""
        return self._grid.pull_messages(message_ids)

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Send messages and wait for the replies."""
        return self._grid.send_and_receive(messages, timeout=timeout)


class ExactGrid(View):
    """The clients of a round, chosen before: a strategy that picks from it picks these."""

    def __init__(self, grid: Grid, nodes: Iterable[int]) -> None:
        super().__init__(grid)
        self._nodes = list(nodes)

    def get_node_ids(self) -> list[int]:
        """Return the chosen nodes."""
        return list(self._nodes)
