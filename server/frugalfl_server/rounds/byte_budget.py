"""A byte budget: how much coarser than usual the codecs must be to meet it.

Multiplicative control: a round that took twice the budget makes the next one twice as coarse, and
one that took less lets it return towards the usual rate. Coarser than a bound is never asked for:
beyond it training collapses, which costs more than any bytes; then the budget cannot be met, and
the round says so.
"""

from __future__ import annotations

#: A frame's header and checksum (B): what no rate makes shorter.
_HEADER_B = 40


class Budget:
    """The factor of one direction; 1 is the usual rate, 2 means half the bytes."""

    def __init__(self, most_b: int, coarsest: float) -> None:
        """Begin at the usual rate.

        Args:
            most_b: Bytes to one client in one round, on average over the round; 0: no budget.
            coarsest: Largest factor.
        """
        self._most_b = most_b
        self._coarsest = coarsest
        self.factor = 1.0

    def spent(self, what: str, mean_b: float) -> str | None:
        """Take note of a round; return one line if it was over the budget.

        Args:
            what: What was sent, for the line, such as ``uploads``.
            mean_b: Bytes a client, on average.
        """
        if not self._most_b:
            return None
        over = max(mean_b - _HEADER_B, 1) / max(self._most_b - _HEADER_B, 1)
        self.factor = min(max(self.factor * over, 1.0), self._coarsest)
        if mean_b <= self._most_b:
            return None
        next_time = (
            "coarser would endanger training: ask for fewer bytes by a refresh plan"
            if self.factor == self._coarsest
            else f"the next round is {self.factor:.1f} times coarser than usual"
        )
        return f"{what} took {mean_b:.0f} B a client, the budget is {self._most_b} B; {next_time}"
