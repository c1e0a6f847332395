"""What all clients say of their features and classes, before the first tree.

One client's quantiles must not take the bins from everybody else's rows, nor its share of positive
rows the score that all trees start from. Where nobody is left out, bins and base are as they were
without these checks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from frugalfl.errors import FrameError
from frugalfl.trees.bins import Bins, Sketch, agree
from frugalfl.trees.forest import Float32s
from frugalfl_server.rounds.row_claims import FEWEST
from frugalfl_server.trees.guard import Guard

_WHOLE = 65535
#: Of the bins that a feature of the others has without a client, so many are left with it.
_LEFT = 0.5
#: Fewer bins than this tell nothing about who takes them.
_FEWEST_BINS = 4.0
#: How far one client may move the base, in log odds.
_MOST_MOVED = math.log(2.5)


def check_sketch(positives: int, sketch: Sketch) -> None:
    """Refuse a sketch that no rows have.

    Raises:
        FrameError: More positive rows than rows, or values that stand for more than all rows.
    """
    if positives > sketch.rows:
        raise FrameError(f"it claims {positives} positive rows of {sketch.rows}")
    if not sketch.rows:
        raise FrameError("it has no rows")
    for number, shares in enumerate(sketch.shares):
        # A share is rounded down, but to 1 at least.
        if int(shares.sum(dtype=np.int64)) > _WHOLE + len(shares):
            raise FrameError(f"its values of feature {number} stand for more rows than it has")


@dataclass
class Sketches:
    """The sketches that count, by node, and the positive rows of each client.

    Attributes:
        guard: Takes the clients' claims.
        sketches: By node.
    """

    guard: Guard
    sketches: dict[int, Sketch] = field(default_factory=dict)
    _apart: set[int] = field(default_factory=set)

    def take(self, node: int, positives: int, sketch: Sketch) -> None:
        """Keep what a client says.

        Raises:
            FrameError: It claimed something else before.
        """
        self.guard.claims(node, sketch.rows, positives)
        self.sketches[node] = sketch

    def judge(self, bins: int) -> dict[int, str]:
        """Leave out what would spoil bins or base for the others; return why, by node.

        Args:
            bins: Most bins of a feature.
        """
        if not self.guard.compares or len(self.sketches) < FEWEST:
            return {}
        return self._judge_bins(bins) | self._judge_base()

    def bins(self, most: int) -> Bins:
        """Return the bins of all together."""
        return agree(self._weighed(), most)

    def classes(self) -> tuple[int, int]:
        """Return positive rows and rows of all whose classes count."""
        return self._classes(set(self.sketches) - self._apart)

    def _classes(self, nodes: set[int]) -> tuple[int, int]:
        counted = self.guard.counted(self.sketches)
        shares = self.guard.shares(self.sketches)
        positives = sum(round(self.guard.positives[node] * shares[node]) for node in nodes)
        return positives, sum(counted[node] for node in nodes)

    def _weighed(self, without: int | None = None) -> list[Sketch]:
        counted = self.guard.counted(self.sketches)
        return [
            replace(sketch, rows=counted[node])
            for node, sketch in self.sketches.items()
            if node != without
        ]

    def _judge_bins(self, most: int) -> dict[int, str]:
        refused: dict[int, str] = {}
        together = agree(self._weighed(), most)
        for node in list(self.sketches):
            others = self._weighed(node)
            apart = agree(others, most)
            for feature in range(len(apart)):
                own = _parted(others, feature, apart.edges[feature])
                left = _parted(others, feature, together.edges[feature])
                if own >= _FEWEST_BINS and left < _LEFT * own:
                    refused[node] = (
                        f"its quantiles would leave the others {left:.2g} of {own:.2g} bins of "
                        f"feature {feature}; they do not count"
                    )
                    break
        # Where one is refused, those that it made look bad are not.
        if len(refused) > 1:
            rows = self.guard.counted(refused)
            refused = {
                node: why for node, why in refused.items() if rows[node] == max(rows.values())
            }
        for node in refused:
            del self.sketches[node]
        return refused

    def _judge_base(self) -> dict[int, str]:
        nodes = set(self.sketches)
        whole = _log_odds(self._classes(nodes))
        moved = {node: abs(whole - _log_odds(self._classes(nodes - {node}))) for node in nodes}
        known = {node: by for node, by in moved.items() if math.isfinite(by)}
        if not math.isfinite(whole) or len(known) < FEWEST:
            return {}
        worst = max(known, key=known.__getitem__)
        if known[worst] <= _MOST_MOVED:
            return {}
        self._apart.add(worst)
        return {
            worst: f"its {self.guard.positives[worst]} rows of class 1 would move the base by "
            f"{known[worst]:.2g} in log odds (limit {_MOST_MOVED:.2g}); they do not count in it"
        }


def _parted(sketches: Sequence[Sketch], feature: int, edges: Float32s) -> float:
    """Return how many bins of equal rows part as well as these edges do (inverse Simpson index)."""
    rows = np.zeros(len(edges) + 1)
    for one in sketches:
        shares = one.shares[feature].astype(float) * one.rows
        np.add.at(rows, np.searchsorted(edges, one.values[feature]), shares)
    whole = float(rows.sum())
    return float(1 / ((rows / whole) ** 2).sum()) if whole else 0.0


def _log_odds(classes: tuple[int, int]) -> float:
    positives, rows = classes
    return math.log(positives / (rows - positives)) if 0 < positives < rows else math.inf
