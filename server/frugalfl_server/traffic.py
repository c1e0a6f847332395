"""What one round, or one step without rounds, cost and brought."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

import numpy as np

from frugalfl.energy import EnergyRecord
from frugalfl.kinds import Scores, Scoring
from frugalfl_server.records import HeadRecord


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
    scores: list[tuple[float, int]] = field(default_factory=list)
    tallies: list[tuple[tuple[float, ...], int]] = field(default_factory=list)

    def note_scores(self, accuracy: float | None, tally: tuple[float, ...], rows: int) -> None:
        """Take in what a client measured on so many rows of its own."""
        if accuracy is not None:
            self.scores.append((accuracy, rows))
        if tally:
            self.tallies.append((tally, rows))

    @property
    def clients_accuracy(self) -> float | None:
        """Mean of what clients measured on their own rows, by rows; ``None``: none measured."""
        rows = sum(scored for _, scored in self.scores)
        return sum(right * scored for right, scored in self.scores) / rows if rows else None

    def clients_scores(self, scoring: Scoring) -> Scores | None:
        """Return what clients measured on their own rows, as one; ``None``: none measured."""
        if self.tallies:
            length = statistics.mode(len(tally) for tally, _ in self.tallies)
            same = [(tally, rows) for tally, rows in self.tallies if len(tally) == length]
            total = np.sum([tally for tally, _ in same], axis=0)
            return scoring.of_tally(total, sum(rows for _, rows in same))
        if self.clients_accuracy is None:
            return None
        return Scores(self.clients_accuracy, dict.fromkeys(scoring.measures))
