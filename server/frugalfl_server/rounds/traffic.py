"""What one round, or one step without rounds, cost and brought."""

from __future__ import annotations

from dataclasses import dataclass, field

from frugalfl_server.exchange.cost import Cost
from frugalfl_server.rounds.client_scores import ClientScores


@dataclass
class Traffic(Cost):
    """The cost of an exchange in which clients train, and what they measured.

    Attributes:
        far: Updates that were too long to count.
        measured: Of the model, by the clients on their own rows.
    """

    far: int = 0
    measured: ClientScores = field(default_factory=ClientScores)

    @property
    def clients_accuracy(self) -> float | None:
        """Mean of what clients measured on their own rows, by rows; ``None``: none measured."""
        return self.measured.accuracy
