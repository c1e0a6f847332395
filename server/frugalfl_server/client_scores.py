"""What clients measured on their own rows, added up."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

import numpy as np

from frugalfl.kinds import Scores, Scoring


@dataclass
class ClientScores:
    """Shares and sums, each with its rows."""

    shares: list[tuple[float, int]] = field(default_factory=list)
    tallies: list[tuple[tuple[float, ...], int]] = field(default_factory=list)

    def note(self, accuracy: float | None, tally: tuple[float, ...], rows: int) -> None:
        """Take in what a client measured on so many rows of its own."""
        if accuracy is not None:
            self.shares.append((accuracy, rows))
        if tally:
            self.tallies.append((tally, rows))

    @property
    def accuracy(self) -> float | None:
        """Mean of what clients measured on their own rows, by rows; ``None``: none measured."""
        rows = sum(scored for _, scored in self.shares)
        return sum(right * scored for right, scored in self.shares) / rows if rows else None

    def scores(self, scoring: Scoring) -> Scores | None:
        """Return what clients measured as one; ``None``: none measured."""
        if self.tallies:
            length = statistics.mode(len(tally) for tally, _ in self.tallies)
            same = [(tally, rows) for tally, rows in self.tallies if len(tally) == length]
            total = np.sum([tally for tally, _ in same], axis=0)
            return scoring.of_tally(total, sum(rows for _, rows in same))
        if self.accuracy is None:
            return None
        return Scores(self.accuracy, dict.fromkeys(scoring.measures))
