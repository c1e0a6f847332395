"""What one round, or one step without rounds, cost and brought."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from frugalfl.energy import EnergyRecord, spent, totals
from frugalfl.kinds import Scores
from frugalfl_server.rounds.client_scores import ClientScores
from frugalfl_server.run.records import HeadRecord, RoundRecord


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

    def record(
        self, phase: str, scores: Scores, server: Iterable[EnergyRecord], federation: str,
        simulated_s: float | None,
    ) -> RoundRecord:  # fmt: skip
        """Return the row of a run's table that this is; it ends now."""
        energy, own = spent(self.energy), totals(server)
        return RoundRecord(
            federation=federation,
            phase=phase,
            round=self.round,
            accuracy=scores.accuracy,
            loss=self.loss,
            clients=self.clients,
            updates=self.updates,
            uplink_bytes=self.uplink_bytes,
            downlink_bytes=self.downlink_bytes,
            energy_measured_j=energy.measured_j,
            energy_estimated_j=energy.estimated_j,
            wall_s=time.monotonic() - self.started_s,
            server_measured_j=own.measured_j,
            server_estimated_j=own.estimated_j,
            skipped=self.skipped,
            program_bytes=self.program_bytes,
            late=self.late,
            simulated_s=simulated_s,
            set_aside=self.set_aside,
            metrics=scores.metrics,
        )

    @property
    def clients_accuracy(self) -> float | None:
        """Mean of what clients measured on their own rows, by rows; ``None``: none measured."""
        return self.measured.accuracy
