"""What clients measured on their own rows, added up."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field

import numpy as np

from frugalfl.kinds import Scores, Scoring
from frugalfl.kinds.kind import Tally

_CLOSE = 1e-6


@dataclass(frozen=True)
class _Told:
    """One client's sums, over the rows that it says, of which so many count."""

    tally: Tally
    scored: int
    rows: int


@dataclass
class ClientScores:
    """Shares and sums, each with its rows."""

    shares: list[tuple[float, int]] = field(default_factory=list)
    tallies: list[_Told] = field(default_factory=list)

    def note(
        self, accuracy: float | None, tally: tuple[float, ...], scored: int, most: int
    ) -> None:
        """Take in what a client measured on so many rows of its own.

        Args:
            accuracy: Share that is right; ``None``: not known.
            tally: Sums; empty: none.
            scored: Rows that it says it measured on.
            most: Rows that it has at most: more do not count.
        """
        rows = min(scored, most)
        if accuracy is not None:
            self.shares.append((accuracy, rows))
        if tally and rows > 0:
            self.tallies.append(_Told(np.array(tally), scored, rows))

    @property
    def accuracy(self) -> float | None:
        """Mean of what clients measured on their own rows, by rows; ``None``: none measured."""
        rows = sum(scored for _, scored in self.shares)
        return sum(right * scored for right, scored in self.shares) / rows if rows else None

    def scores(self, scoring: Scoring) -> Scores | None:
        """Return what clients measured as one; ``None``: none measured."""
        same = self._alike(scoring)
        if same:
            total = np.sum([one.tally * (one.rows / one.scored) for one in same], axis=0)
            return scoring.of_tally(total, sum(one.rows for one in same))
        if self.accuracy is None:
            return None
        return Scores(self.accuracy, dict.fromkeys(scoring.measures))

    def _alike(self, scoring: Scoring) -> list[_Told]:
        """Return the sums that can be: as long as most are, and of as much a row as most."""
        if not self.tallies:
            return []
        length = statistics.mode(len(one.tally) for one in self.tallies)
        same = [one for one in self.tallies if len(one.tally) == length]
        each = [scoring.kind.size(one.tally) / one.scored for one in same]
        known = [round(size, 6) for size in each if size > 0]
        usual = statistics.mode(known) if known else math.nan
        return [one for one, size in zip(same, each, strict=True) if abs(size - usual) < _CLOSE]
