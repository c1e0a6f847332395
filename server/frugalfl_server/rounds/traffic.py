"""What one round, or one step without rounds, cost and brought."""

from __future__ import annotations

from dataclasses import dataclass, field

from frugalfl.energy import EnergyRecord
from frugalfl_server.rounds.client_scores import ClientScores
from frugalfl_server.run.records import HeadRecord


@dataclass
class Traffic:
    """What one round cost and brought, filled while it runs."""

    round: int
    started_s: float
    clients: int = 0
    skipped: int = 0
    set_aside: int = 0
    updates: int = 0
    late: int = 0
    answers: int = 0
    far: int = 0
    uplink_bytes: int = 0
    downlink_bytes: int = 0
    program_bytes: int = 0
    loss: float | None = None
    energy: list[EnergyRecord] = field(default_factory=list)
    heads: list[HeadRecord] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    unfit: int = 0
    measured: ClientScores = field(default_factory=ClientScores)

    @property
    def clients_accuracy(self) -> float | None:
        """Mean of what clients measured on their own rows, by rows; ``None``: none measured."""
        return self.measured.accuracy
