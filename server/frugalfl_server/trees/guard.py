"""Who may take part in a run of trees, and with how many rows: claims, patience, silence.

A client says itself how many rows it has. Its claim counts up to :data:`MOST_ROWS` times the median
client's; one beyond that is not believed to be the majority either, and counts for no more than all
other clients together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from frugalfl.errors import FrameError
from frugalfl_server.cohort.quarantine import Exclusion, Quarantine
from frugalfl_server.rounds.row_claims import MOST_ROWS, capped_rows
from frugalfl_server.trees.believable import Rows

#: A device's rows may grow while a run goes on, but not by more than this factor.
_GROWS_BY = 2


def counted_rows(claims: Mapping[int, int]) -> dict[int, int]:
    """Return how many of each client's rows count; a median needs three clients.

    Args:
        claims: The rows that each client says it has, by node.
    """
    capped = dict(zip(claims, capped_rows(list(claims.values())), strict=True))
    whole = sum(capped.values())
    return {
        node: rows if rows == claims[node] else max(min(rows, whole - rows), 1)
        for node, rows in capped.items()
    }


@dataclass
class Guard:
    """What is known of the clients of one run.

    Attributes:
        quarantine: Who sent garbage how often, and is not asked for that.
        compares: Whether clients are compared with each other.
        positives: Rows of class 1 that each client claims, by node.
        faulty: Clients of which an answer since the last step was not as it should be.
    """

    quarantine: Quarantine = field(default_factory=lambda: Quarantine(None))
    compares: bool = True
    positives: dict[int, int] = field(default_factory=dict)
    faulty: set[int] = field(default_factory=set)
    _rows: dict[int, int] = field(default_factory=dict)
    _silent: dict[int, int] = field(default_factory=dict)
    _waits: dict[int, int] = field(default_factory=dict)
    _capped: set[int] = field(default_factory=set)

    def claims(self, node: int, rows: int, positives: int | None = None) -> None:
        """Note how many rows a client says it has; later claims do not make it weigh more.

        Raises:
            FrameError: Far more than it claimed before.
        """
        first = self._rows.setdefault(node, rows)
        if rows > _GROWS_BY * first:
            raise FrameError(f"it claims {rows} rows, and claimed {first} before")
        if positives is not None:
            self.positives[node] = positives

    def counted(self, nodes: Iterable[int]) -> dict[int, int]:
        """Return how many rows of each of these clients count among them."""
        return counted_rows({node: self._rows[node] for node in nodes})

    def shares(self, nodes: Iterable[int]) -> dict[int, float]:
        """Return which part of each client's sums counts: 1, but for those that are capped."""
        return {node: rows / self._rows[node] for node, rows in self.counted(nodes).items()}

    def claim_of(self, node: int, samples: int, chance: float | None) -> Rows | None:
        """Return what a client's sums have to fit, by what it claimed first.

        Args:
            node: The client.
            samples: Rows that it says it has now.
            chance: As of :class:`~frugalfl_server.trees.believable.Rows`.

        Returns:
            ``None``: it never claimed any, or has others now.
        """
        if node not in self.positives or self._rows[node] != samples:
            return None
        return Rows(samples, self.positives[node], chance)

    def newly_capped(self, nodes: Iterable[int]) -> list[str]:
        """Return a line for each of these clients whose rows do not all count, once a client."""
        counted = self.counted(nodes)
        found = [n for n, rows in counted.items() if rows < self._rows[n] and n not in self._capped]
        self._capped.update(found)
        return [
            f"node {node}: its {self._rows[node]} rows are more than {MOST_ROWS} times those of "
            f"the median client, or than all others' together, and count as {counted[node]}"
            for node in found
        ]

    def whom(self, nodes: Sequence[int], begins: bool) -> list[int]:
        """Return those that are asked: neither in quarantine, nor silent again and again.

        Args:
            nodes: Clients that are there.
            begins: Whether a round begins.

        Raises:
            FederationError: All are in quarantine.
        """
        if begins:
            self.quarantine.begin()
            self._waits = {node: left - 1 for node, left in self._waits.items() if left > 1}
        there = [node for node in nodes if not self.quarantine.rests(node)]
        self.quarantine.check_enough(len(there), nodes)
        return [node for node in there if node not in self._waits] or there

    def settle(self, nodes: Iterable[int]) -> None:
        """Note that a step is made: these clients' answers were as they should be, but for some."""
        for node in set(nodes) - self.faulty:
            self.quarantine.note_right(node)
            self._silent.pop(node, None)
        self.faulty = set()

    def note_wrong(self, node: int, round_: int, why: str) -> list[Exclusion]:
        """Note an answer that no working client gives; return what follows."""
        self._silent.pop(node, None)
        return self.quarantine.note_wrong(node, round_, why)

    def task_failed(self, node: int, round_: int, why: str) -> str:
        """Set a client aside whose own task failed; return why, and for how long."""
        self._silent.pop(node, None)
        return self.quarantine.task_failed(node, round_, why)

    def silent(self, node: int) -> None:
        """Note that everybody waited for a client in vain: it is asked less often.

        The second time in a row costs it one round, the third three, and so on.
        """
        times = self._silent[node] = self._silent.get(node, 0) + 1
        # A round is taken off as soon as the next one begins.
        self._waits[node] = 1 << min(times - 1, 10)

    def state(self) -> dict[str, Any]:
        """Return what is known between steps, for a checkpoint."""
        by_node = (self.positives, self._rows, self._silent, self._waits)
        return {
            "aside": self.quarantine.state(),
            "by_node": [list(one.items()) for one in by_node],
            "capped": sorted(self._capped),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with what :meth:`state` returned."""
        self.quarantine.restore(state["aside"])
        by_node = ({node: count for node, count in one} for one in state["by_node"])
        self.positives, self._rows, self._silent, self._waits = by_node
        self._capped = set(state["capped"])
