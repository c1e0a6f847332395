"""Whose turn it is: the client that has waited longest.

Where slow clients hold many of the places, drawing at random would have the quick ones train more
often than the slow ones; turns have everybody train equally often, as far as their speed allows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


class RoundRobin:
    """When each client had its last turn."""

    def __init__(self, seed: int) -> None:
        """Begin with nobody; the seed decides the order of those who have waited equally long."""
        self._seed = seed
        self._turn = 0
        self._last: dict[int, int] = {}

    def next(self, nodes: Iterable[int], count: int) -> list[int]:
        """Return so many of these clients, or all where they are fewer, and note their turn."""
        chosen = sorted(nodes, key=self._place)[:count]
        for node in chosen:
            self._turn += 1
            self._last[node] = self._turn
        return chosen

    def _place(self, node: int) -> tuple[int, bytes]:
        lot = hashlib.blake2b(f"{self._seed} {node}".encode(), digest_size=8).digest()
        return self._last.get(node, 0), lot
