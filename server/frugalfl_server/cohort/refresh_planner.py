"""Chooses each client's blocks: the refresh plan, and what it has to know.

Of a client, the link that it declares and the joules of its last round are kept; of a block, its
last change and when that was.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from frugalfl.blocks import Layout, Parameters
from frugalfl.energy.record import known_sum
from frugalfl.energy.record_sums import spent_joules
from frugalfl.plans import PlanContext, RefreshPlan
from frugalfl.wire import TrainReply
from frugalfl_server.run.checkpoint import by_client, by_row

#: A block of zeros that moves at all has moved very far.
_TINY = 1e-30


class Planner:
    """One plan on one model, over the rounds."""

    def __init__(self, plan: RefreshPlan, layout: Layout, seed: int = 0) -> None:
        """Begin before the first round.

        Raises:
            UsageError: The plan cannot be used with this model.
        """
        plan.check(layout)
        self._plan = plan
        self._layout = layout
        self._seed = seed
        self._round = 0
        self._changes: dict[int, tuple[float, int]] = {}
        self._links: dict[int, str] = {}
        self._joules: dict[int, float] = {}
        self._expected: dict[int, float] = {}

    def begin(self, number: int, before: Parameters, model: Parameters) -> None:
        """Begin a round.

        Args:
            number: Round, from 1.
            before: The model at the beginning of the last round; empty in the first.
            model: The model now.
        """
        self._round = number
        for place, block in enumerate(self._layout.blocks if before else ()):
            change = _mean_square([model[name] - before[name] for name in block.tensors])
            if change > 0:
                size = _mean_square([model[name] for name in block.tensors])
                self._changes[place] = (change / max(size, _TINY), number)
        self._expected = self._expected_changes()

    def _expected_changes(self) -> dict[int, float]:
        """Return how far each block is expected to have to move: as of a plan's context."""
        return {
            place: change * (self._round - since + 1)
            for place, (change, since) in self._changes.items()
        }

    def blocks_of(self, node: int) -> tuple[int, ...]:
        """Return the numbers of the blocks that a client is to train in this round."""
        context = PlanContext(
            round=self._round,
            layout=self._layout,
            seed=self._seed,
            change=self._expected,
            link=self._links.get(node, ""),
            joules=self._joules.get(node),
        )
        return self._plan.choose(context)

    def note_reply(self, node: int, reply: TrainReply) -> None:
        """Note what a client says of itself."""
        self._links[node] = reply.link
        # A threshold wants one number: here, and nowhere that reports, the two kinds add up.
        joules = known_sum(spent_joules(reply.records))
        if joules is not None:
            self._joules[node] = joules

    def state(self) -> dict[str, Any]:
        """Return what is known, for a checkpoint."""
        return {
            "changes": [(place, *change) for place, change in self._changes.items()],
            "links": by_client(self._links, "link"),
            "joules": by_client(self._joules, "joules"),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with what :meth:`state` returned."""
        self._changes = {place: (change, since) for place, change, since in state["changes"]}
        self._links = dict(by_row(state["links"]))
        self._joules = dict(by_row(state["joules"]))


def _mean_square(tensors: list[np.ndarray]) -> float:
    total = sum(float(np.square(tensor, dtype=np.float64).sum()) for tensor in tensors)
    return total / max(sum(tensor.size for tensor in tensors), 1)
