"""Clients that are done while others of their chunk go on."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from frugalfl_sim.engine.cohort.chunk import Stack


class Ended:
    """The parameters of clients after their last step.

    Attributes:
        stack: As of the chunk, with what the moved parameters were after each client's last step.
    """

    def __init__(self, stack: Stack) -> None:
        """Take the parameters of all clients, those with the most steps first."""
        kept = {name: torch.empty_like(one) for name, one in stack.moved.items()}
        self._moved = stack.moved
        self.stack = Stack(stack.starts, kept, stack.still)

    def keep(self, step: int, counts: Sequence[int]) -> None:
        """Keep the parameters of those whose last step this was.

        Args:
            step: From 0.
            counts: Steps of each client, falling.
        """
        last = counts.count(step + 1)
        if not last:
            return
        first = counts.index(step + 1)
        for name, one in self._moved.items():
            self.stack.moved[name][first : first + last] = one[first : first + last]
