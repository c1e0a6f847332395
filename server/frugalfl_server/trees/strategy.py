"""A Flower strategy that grows trees, whichever way: its rounds are exchanges about trees.

The ArrayRecord between the rounds holds the trees that the last one added.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid

from frugalfl.errors import FederationError
from frugalfl_server.exchange.cost import Cost
from frugalfl_server.rounds.asks_no_evaluation import AsksNoEvaluation
from frugalfl_server.trees.exchanges import Exchanges
from frugalfl_server.trees.growing import Growing
from frugalfl_server.trees.grown import Grown
from frugalfl_server.trees.guard import Guard


class TreeStrategy(AsksNoEvaluation):
    """Asks for trees, or what they are made of, and adds to the model what a step brings."""

    def __init__(self, growing: Growing, grown: Grown, exchanges: Exchanges, guard: Guard) -> None:
        """Begin.

        Args:
            growing: Makes steps of what clients contribute.
            grown: The model, to which this adds.
            exchanges: Asks and checks.
            guard: What is known of the clients, and who is in quarantine.
        """
        self._growing = growing
        self._grown = grown
        self._exchanges = exchanges
        self._guard = guard
        #: Exchanges in a row in which no client contributed.
        self._in_vain = 0

    @property
    def cost(self) -> Cost:
        """Of the exchange that goes on."""
        return self._exchanges.cost

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Address each client with what it lacks of the model."""
        return self._exchanges.requests(server_round, grid.get_node_ids())

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Check each answer, and make a step of those that are sound.

        Raises:
            FederationError: Not one client contributed.
            TaskError: Not one could, each because of its own task.
        """
        taken = self._exchanges.take(replies)
        self._in_vain = 0 if taken else self._in_vain + 1
        if not taken:
            if self._in_vain >= self._growing.tries:
                self._give_up()
            return None, None
        counted = self._guard.counted(taken)
        rows = sum(counted.values())
        loss = sum(taken[node].loss * rows for node, rows in counted.items()) / rows
        self.cost.loss = loss
        added = self._growing.step()
        if added is None:
            return None, None
        self._guard.settle(taken)
        self._grown.add(added)
        frame = np.frombuffer(self._grown.segments[-1], np.uint8)
        metrics = MetricRecord({"train-loss": loss, "num-examples": rows})
        return ArrayRecord({"trees": Array(frame)}), metrics

    def _give_up(self) -> None:
        cost = self.cost
        if 0 < cost.unfit == cost.clients:
            self._guard.quarantine.unfit.check_round(cost.round, cost.clients)
        first = next(iter(cost.failures), "nobody answered")
        raise FederationError(
            f"round {cost.round}: none of {cost.clients} clients contributed; {first}"
        )

    def summary(self) -> None:
        """Log nothing: the run directory says it all."""
