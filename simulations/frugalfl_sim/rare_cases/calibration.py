"""Whether a score of 10 % means that one such transaction in ten is a fraud."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: Bins of the expected calibration error, each with the same number of rows.
BINS = 20
#: Points of the reliability curve, each with the same number of expected frauds.
POINTS = 12

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """Predicted against observed shares of fraud.

    Attributes:
        brier: Mean squared distance of probability and label (Brier, 1950).
        error: Expected calibration error: mean over bins of equal numbers of rows of the distance
            between predicted and observed share (Naeini et al., AAAI 2015; equal-mass bins).
            Chance alone makes it larger than 0, the more so the fewer the frauds.
        predicted_rate: Mean probability; equals the share of frauds if calibrated in the large.
        reliability: Points ``(predicted, observed)``, of equal numbers of expected frauds: with
            rare frauds, equal numbers of rows would put all but one point beside the origin.
    """

    brier: float
    error: float
    predicted_rate: float
    reliability: tuple[tuple[float, float], ...]


def probabilities(logits: npt.ArrayLike) -> _Floats:
    """Return the logistic function of log odds, without overflow.

    >>> probabilities([0.0, -1000.0, 1000.0]).tolist()
    [0.5, 0.0, 1.0]
    """
    return 0.5 * (1 + np.tanh(np.asarray(logits, dtype=np.float64) / 2))


def calibration(logits: _Floats, y: npt.NDArray[np.int8]) -> Calibration:
    """Measure it on rows with labels.

    Rows of equal scores share their label's mean, so the order of the rows does not matter where
    the edge of a bin cuts through a tie.

    Args:
        logits: Log odds, corrected for subsampling, shape ``(n,)``, at least one.
        y: 0 or 1, shape ``(n,)``.
    """
    values, place, counts = np.unique(
        probabilities(logits), return_inverse=True, return_counts=True
    )
    frauds = np.bincount(place, weights=y, minlength=len(counts))
    # Sums up to each value: straight lines between, so that a bin may take a part of a tie.
    rows, expected, observed = (
        np.concatenate(([0.0], np.cumsum(part))) for part in (counts, counts * values, frauds)
    )
    edges = np.linspace(0, rows[-1], BINS + 1)
    apart = np.diff(np.interp(edges, rows, expected)) - np.diff(np.interp(edges, rows, observed))
    return Calibration(
        brier=float((counts * values**2 - 2 * values * frauds + frauds).sum() / rows[-1]),
        error=float(np.abs(apart).sum() / rows[-1]),
        predicted_rate=float(expected[-1] / rows[-1]),
        reliability=_reliability(rows, expected, observed),
    )


def _reliability(
    rows: _Floats, expected: _Floats, observed: _Floats
) -> tuple[tuple[float, float], ...]:
    """Cut the sorted rows where the expected frauds reach each share of their sum."""
    positive = np.concatenate(([True], np.diff(expected) > 0))
    rows, expected, observed = rows[positive], expected[positive], observed[positive]
    edges = np.linspace(0, expected[-1], POINTS + 1)
    size, predicted, seen = (
        np.diff(np.interp(edges, expected, sums)) for sums in (rows, expected, observed)
    )
    some = size > 0
    return tuple(
        (round(float(p), 6), round(float(o), 6))
        for p, o in zip(predicted[some] / size[some], seen[some] / size[some], strict=True)
    )
