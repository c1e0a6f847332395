"""What bagging, cyclic, refit and histogram have in common: whom they ask for what, and a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from frugalfl import wire
from frugalfl.trees.forest import Forest
from frugalfl.trees.ways import CYCLIC, HISTOGRAM, REFIT, Way

#: Turns of one step of ``cyclic``; all clients in turn, however many there are.
_MOST_TURNS = 10_000


class Growing(Protocol):
    """One way of growing trees, exchange by exchange; a step takes one or several of them.

    Attributes:
        tries: Exchanges in a row in which no client contributed that end the run.
    """

    tries: int

    @property
    def begins(self) -> bool:
        """Whether the next exchange is the first one of a step."""

    def whom(self, nodes: Sequence[int]) -> Sequence[int]:
        """Begin an exchange; return which of the nodes, in order of their numbers, are asked."""

    def question(self, node: int) -> bytes:
        """Return what a client is asked beside the trees that it is sent."""

    def take_in(self, node: int, reply: wire.TreesReply) -> None:
        """Look at one client's frame, and keep what is in it for :meth:`step`.

        Raises:
            FrameError: It is not what was asked for.
        """

    def outliers(self) -> dict[int, str]:
        """Return why clients are refused that are unlike the others, by node."""

    def drop(self, node: int) -> None:
        """Forget what a client sent in this exchange."""

    def step(self) -> Forest | None:
        """Return what the clients add to the model; ``None``: nothing this time."""

    def state(self) -> dict[str, Any]:
        """Return what is kept between steps, for a checkpoint."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with what :meth:`state` returned."""


def most_exchanges(way: Way, steps: int) -> int:
    """Return how often clients are asked at most for so many steps of the model."""
    each = {
        CYCLIC: _MOST_TURNS,  # as often as it takes, while not all of them fail
        REFIT: 2,  # for shapes, and for sums
        HISTOGRAM: 2 * way.growth.leaves,  # once for each split, and once more
    }
    return steps * each.get(way.name, 1)
