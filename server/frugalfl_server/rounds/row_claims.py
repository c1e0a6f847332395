"""How many of a client's rows count: at most ten times what the median client claims.

A client says itself how many rows it has, and its weight in every mean is that number. One that
claims a billion would be most of the mean. So a claim counts up to ten times the median of all
clients that have answered in the phase (Portnoy, Tirosh and Hendler 2020 truncate weights for the
same reason). All claims of a round are noted before the first one is used, so that it makes no
difference who answers first. Half of the clients would have to lie to move a median.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from statistics import median_low

from frugalfl_server.run.checkpoint import Tree, by_client, by_row

#: A client's rows count up to so many times the median client's.
MOST_ROWS = 10
#: Fewer clients than this have no median that one of them could not move.
FEWEST = 3


def most_rows(rows: Collection[int]) -> int | None:
    """Return up to which number a client's rows count; ``None``: too few clients to say."""
    return MOST_ROWS * median_low(rows) if len(rows) >= FEWEST else None


def capped_rows(rows: Sequence[int]) -> list[int]:
    """Return how many of each client's rows count, of the clients of one step together.

    >>> capped_rows([100, 120, 90, 10**9])
    [100, 120, 90, 1000]
    """
    most = most_rows(rows)
    return [count if most is None else min(count, most) for count in rows]


class RowClaims:
    """What each client of a phase claims to have; the newest claim counts."""

    def __init__(self) -> None:
        """Begin with no claims."""
        self._claimed: dict[int, int] = {}
        self._most: int | None = None  # of the claims as they are, once somebody has asked

    def claim(self, node: int, rows: int) -> None:
        """Note how many rows a client says it has."""
        self._claimed[node] = rows
        self._most = None

    @property
    def comparable(self) -> bool:
        """Whether so many have claimed that there is a median."""
        return len(self._claimed) >= FEWEST

    def weight_of(self, rows: int) -> int:
        """Return how many of a client's rows count."""
        if self._most is None:
            self._most = most_rows(self._claimed.values())
        return rows if self._most is None else min(rows, self._most)

    def state(self) -> Tree:
        """Return the claims, for a checkpoint."""
        return by_client(self._claimed, "rows")

    def restore(self, state: Tree | Sequence[Sequence[int]]) -> None:
        """Go on with what :meth:`state` returned."""
        self._claimed = dict(by_row(state))
        self._most = None
