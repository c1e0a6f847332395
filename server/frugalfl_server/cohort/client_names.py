"""What a client is called: by its number, everywhere; its node's id stands beside it once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from frugalfl.text import named_once

#: A node that something is said of: what follows tells it from one that is only mentioned.
_SUBJECT = re.compile(
    r"\bnode (\d+)(?: \(client \d+\))?(?=: |, late by now| is set aside| was killed| is silent)"
)


class Naming:
    """Rewrites lines about nodes into lines about clients."""

    def __init__(self, client_of: Callable[[int], str], simulated: Mapping[int, int]) -> None:
        """Begin.

        Args:
            client_of: The client that a node has shown to be; empty: it is not known.
            simulated: The same of a simulation's nodes, which is known from the start.
        """
        self._client_of = client_of
        self._simulated = simulated
        self._told: set[int] = set()

    def __call__(self, text: str) -> str:
        """Return a line with the numbers of clients; nodes that are no client's yet stay."""
        return named_once(_SUBJECT.sub(self._named, text))

    def client_of(self, node: int) -> str:
        """Return the number of a node's client, as text; empty: it is not known yet."""
        return self._client_of(node) or str(self._simulated.get(node, ""))

    def _named(self, found: re.Match[str]) -> str:
        node = int(found[1])
        client = self.client_of(node)
        if not client:
            return found[0]
        beside = "" if node in self._told else f" (node {node})"
        self._told.add(node)
        return f"client {client}{beside}"
