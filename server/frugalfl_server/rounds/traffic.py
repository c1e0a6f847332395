"""What one round, or one step without rounds, cost and brought."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

from frugalfl_server.exchange.cost import Cost
from frugalfl_server.rounds.client_scores import ClientScores


@dataclass
class Traffic(Cost):
    """The cost of an exchange in which clients train, and what they measured.

    Attributes:
        far: Updates that were too long to count.
        losses: Mean training loss of each client whose update counts, as it says.
        measured: Of the model, by the clients on their own rows.
    """

    far: int = 0
    losses: list[float] = field(default_factory=list)
    measured: ClientScores = field(default_factory=ClientScores)

    @property
    def usual_loss(self) -> float | None:
        """The median client's training loss: one liar does not move it; ``None``: none trained."""
        return median(self.losses) if self.losses else None

    @property
    def clients_accuracy(self) -> float | None:
        """Mean of what clients measured on their own rows, by rows; ``None``: none measured."""
        return self.measured.accuracy
