"""Tallies of how far values are from their targets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
#: Numbers, sum of absolute and of squared differences, sum and sum of squares of the targets.
Tally = npt.NDArray[np.float64]


def of_values(outputs: Array, targets: Array) -> Tally:
    """Return the five sums, over all numbers of all rows.

    Args:
        outputs: Shape ``(rows, ...)``.
        targets: As many numbers a row.
    """
    y = targets.reshape(-1).astype(np.float64)
    apart = outputs.reshape(-1).astype(np.float64) - y
    return np.array(
        [len(y), np.abs(apart).sum(), np.square(apart).sum(), y.sum(), np.square(y).sum()]
    )


def size(tally: Tally) -> float:
    """Return how many numbers were compared; NaN: no sums are so."""
    if len(tally) != 5 or (tally[[0, 1, 2, 4]] < 0).any():
        return math.nan
    return float(tally[0])


def mse(tally: Tally) -> float:
    """Return the mean squared error."""
    return float(tally[2] / tally[0]) if tally[0] else math.nan


def rmse(tally: Tally) -> float:
    """Return the root of the mean squared error, in the targets' unit."""
    return math.sqrt(mse(tally))


def mae(tally: Tally) -> float:
    """Return the mean absolute error, in the targets' unit."""
    return float(tally[1] / tally[0]) if tally[0] else math.nan


def r2(tally: Tally) -> float:
    """Return the coefficient of determination: 1 minus squared error by spread of the targets."""
    spread = tally[4] - tally[3] ** 2 / tally[0] if tally[0] else 0.0
    return float(1 - tally[2] / spread) if spread > 0 else math.nan
