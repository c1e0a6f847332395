"""Who may take part in a run of trees, and with how many rows: claims, patience, silence.

A client says itself how many rows it has. Its claim counts up to :data:`MOST_ROWS` times the median
client's; one beyond that is not believed to be the majority either, and counts for no more than all
other clients together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from frugalfl.errors import FrameError
from frugalfl.text import printable
from frugalfl_server.cohort.quarantine import Sentence, SetAside, TaskFailedError
from frugalfl_server.rounds.row_claims import MOST_ROWS, capped_rows

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
        aside: Who sent garbage how often, and is not asked for that.
        compares: Whether clients are compared with each other.
        positives: Rows of class 1 that each client claims, by node.
    """

    aside: SetAside = field(default_factory=lambda: SetAside(None))
    compares: bool = True
    positives: dict[int, int] = field(default_factory=dict)
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

    def claim_of(self, node: int) -> tuple[int, int] | None:
        """Return rows and rows of class 1 as a client claimed them first; ``None``: it did not."""
        return None if node not in self.positives else (self._rows[node], self.positives[node])

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
        """Return those that are asked: neither set aside, nor silent again and again.

        Args:
            nodes: Clients that are there.
            begins: Whether a round begins.

        Raises:
            FederationError: All are set aside.
        """
        if begins:
            self.aside.begin()
            self._waits = {node: left - 1 for node, left in self._waits.items() if left > 1}
        there = [node for node in nodes if not self.aside.rests(node)]
        self.aside.check_enough(len(there), nodes)
        return [node for node in there if node not in self._waits] or there

    def right(self, node: int) -> None:
        """Note an answer as it should be."""
        self.aside.right(node)
        self._silent.pop(node, None)

    def wrong(self, node: int, round_: int, why: str) -> list[Sentence]:
        """Note an answer that no working client gives; return what follows."""
        self._silent.pop(node, None)
        return self.aside.wrong(node, round_, why)

    def task_failed(self, node: int, round_: int, error: TaskFailedError) -> str:
        """Set a client aside whose own task failed; return why, and for how long."""
        self._silent.pop(node, None)
        return self.aside.task_failed(node, round_, printable(str(error)))

    def silent(self, node: int) -> None:
        """Note that everybody waited for a client in vain: it is asked less often.

        The second time in a row costs it one round, the third three, and so on.
        """
        times = self._silent[node] = self._silent.get(node, 0) + 1
        # A round is taken off as soon as the next one begins.
        self._waits[node] = 1 << min(times - 1, 10)
