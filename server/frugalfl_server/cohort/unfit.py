"""Clients whose own task failed: which ones never trained, why, and when that is the run's end.

Rows that cannot be trained on are a mistake of one client, and cost that client's rounds. If nobody
can train, it is a mistake of the task, and no round after this one would be another.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from frugalfl.errors import TaskError

#: So many failures, without any update between them, may end a run.
_ENOUGH = 2


class Unfit:
    """Who failed so, and who has trained, over a whole run."""

    def __init__(self) -> None:
        self._why: dict[int, str] = {}
        self._trained: set[int] = set()
        self._in_a_row = 0

    def note_failed(self, node: int, why: str) -> None:
        """Note that a client's task failed."""
        self._why[node] = why
        self._in_a_row += 1

    def note_trained(self, node: int) -> None:
        """Note a client's update."""
        self._trained.add(node)
        self._why.pop(node, None)
        self._in_a_row = 0

    def all_of(self, nodes: Iterable[int]) -> bool:
        """Say whether the tasks of all these clients have failed."""
        return all(node in self._why for node in nodes)

    def check_round(self, number: int, clients: int) -> None:
        """End the run, because no client of a round could train.

        Where single clients are asked it takes two of them: one may be the only one that cannot.

        Args:
            number: The round, of which all failed so.
            clients: Clients that were asked.

        Raises:
            TaskError: So it is.
        """
        if self._in_a_row >= _ENOUGH:
            who = "no client" if clients == 1 else f"none of {clients} clients"
            raise TaskError(f"{who} could train in round {number}: {self.last}")

    @property
    def last(self) -> str:
        """Why the newest of them failed; empty: none has."""
        return next(reversed(self._why.values()), "")

    @property
    def never_trained(self) -> dict[int, str]:
        """Clients that never trained in the run, and why, by node."""
        return {node: why for node, why in self._why.items() if node not in self._trained}

    def state(self) -> dict[str, Any]:
        """Return what is known between rounds, for a checkpoint."""
        return {
            "why": [[node, why] for node, why in self._why.items()],
            "trained": sorted(self._trained),
            "in_a_row": self._in_a_row,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with what :meth:`state` returned."""
        self._why = {node: why for node, why in state["why"]}
        self._trained = set(state["trained"])
        self._in_a_row = state["in_a_row"]
