"""How good a model's scores are, as practitioners of fraud detection measure it.

Ranking (average precision, area under the ROC curve), what investigators find (``alerts``), and
whether probabilities are what they say (``calibration``); pooled and by branch. Accuracy is left
out: with 0.8 % frauds, a model that never finds one is right in 99.2 % of all rows.

    held_out = HeldOut(y, time, card, amount, branch, branches=("north", "south"))
    evaluation = evaluate(held_out, logits)

``HeldOut`` is made once for all models, since grouping the rows takes longer than a score does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from frugalfl.errors import TaskError
from frugalfl.metrics import average_precision, roc_auc
from frugalfl_sim.rare_cases.alerts import Alerts, CardDays
from frugalfl_sim.rare_cases.calibration import Calibration, calibration

#: Points of a precision-recall curve, at most.
CURVE_POINTS = 100

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]


def _none() -> _Ints:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The rows that no model learned from: the last days.

    Attributes:
        y: 1 for fraud, else 0, int8, shape ``(n,)``.
        time: Seconds since 1970-01-01 UTC, int64, shape ``(n,)``.
        card: Number of the card, int64, shape ``(n,)``.
        amount: Money, float64, shape ``(n,)``.
        branch: Whose row it is, as a place in ``branches``, integers, shape ``(n,)``.
        branches: Names of the branches.
        earlier_card: Cards of frauds before these rows, int64, shape ``(m,)``. Cards with a known
            fraud are left out of the alerts, so this says how far back a bank remembers; the
            handbook that defines the metric takes the week of training before the label delay.
        earlier_time: When those frauds were, int64, shape ``(m,)``.
        label_delay_days: Days until a fraud is known.

    Raises:
        TaskError: No rows, columns that do not pair up, or values outside what is said above.
    """

    y: npt.NDArray[np.int8]
    time: _Ints
    card: _Ints
    amount: _Floats
    branch: npt.NDArray[np.integer]
    branches: tuple[str, ...]
    earlier_card: _Ints = field(default_factory=_none)
    earlier_time: _Ints = field(default_factory=_none)
    label_delay_days: int = 7

    def __post_init__(self) -> None:
        if len(self.y) == 0:
            raise TaskError("there are no held-out rows; nothing can be measured")
        for name in ("time", "card", "amount", "branch"):
            if getattr(self, name).shape != self.y.shape:
                raise TaskError(
                    f"held-out {name} has shape {getattr(self, name).shape} and the labels "
                    f"{self.y.shape}; one of each a row is needed"
                )
        if self.earlier_card.shape != self.earlier_time.shape:
            raise TaskError(
                f"{len(self.earlier_card)} cards but {len(self.earlier_time)} times of earlier "
                "frauds are given; one of each a fraud is needed"
            )
        if not ((self.y == 0) | (self.y == 1)).all():
            raise TaskError(f"labels are {np.unique(self.y)[:5].tolist()}, not 0 and 1")
        if self.branch.min() < 0 or self.branch.max() >= len(self.branches):
            raise TaskError(
                f"branches of rows run from {self.branch.min()} to {self.branch.max()}, but "
                f"{len(self.branches)} are named"
            )

    @cached_property
    def card_days(self) -> CardDays:
        """The rows grouped by day and card."""
        return CardDays(
            self.y, self.time, self.card, self.amount, self.earlier_card, self.earlier_time,
            self.label_delay_days,
        )  # fmt: skip

    @cached_property
    def rows_of(self) -> dict[str, npt.NDArray[np.intp]]:
        """Places of each branch's rows; a branch without any is not in it."""
        found = {name: np.flatnonzero(self.branch == i) for i, name in enumerate(self.branches)}
        return {name: places for name, places in found.items() if len(places)}


@dataclass(frozen=True)
class Quality:
    """Figures of one set of rows.

    Attributes:
        rows: How many.
        frauds: How many of them are frauds.
        average_precision: In [0, 1]; ``None``, so unknown, where all rows are of one class.
        roc_auc: Likewise.
        brier: Mean squared distance of probability and label.
        calibration_error: Expected calibration error, equal-mass bins.
        predicted_rate: Mean probability of fraud.
    """

    rows: int
    frauds: int
    average_precision: float | None
    roc_auc: float | None
    brier: float
    calibration_error: float
    predicted_rate: float


@dataclass(frozen=True)
class Evaluation:
    """Everything measured of one model's scores.

    Attributes:
        pooled: All rows together.
        branches: By name of the branch that has rows.
        alerts: What checking the cards with the highest scores of each day finds.
        precision_recall: Points ``(recall, precision)`` of the pooled rows, recall rising; empty
            where all rows are of one class.
        reliability: Points ``(predicted, observed)`` share of frauds, pooled rows.
    """

    pooled: Quality
    branches: dict[str, Quality]
    alerts: Alerts
    precision_recall: tuple[tuple[float, float], ...]
    reliability: tuple[tuple[float, float], ...]

    @property
    def unknown(self) -> tuple[str, ...]:
        """Branches whose average precision is unknown: their rows are all of one class."""
        return tuple(n for n, one in self.branches.items() if one.average_precision is None)

    @property
    def own_rows(self) -> float | None:
        """Average precision on each branch's own rows, mean over the branches where it is known."""
        known = [one.average_precision for one in self.branches.values()]
        values = [value for value in known if value is not None]
        return math.fsum(values) / len(values) if values else None


def evaluate(held_out: HeldOut, logits: _Floats) -> Evaluation:
    """Measure one model's scores.

    Args:
        held_out: The rows.
        logits: Log odds of fraud, corrected for subsampling, float64, shape ``(n,)``; infinite
            ones are fine.

    Raises:
        TaskError: Not one score a row, or a score is NaN.
    """
    logits = np.asarray(logits, dtype=np.float64)
    if logits.shape != held_out.y.shape:
        raise TaskError(f"scores have shape {logits.shape}, and the rows {held_out.y.shape}")
    if missing := int(np.isnan(logits).sum()):
        raise TaskError(
            f"{missing:,} of {len(logits):,} scores are NaN; the model or its features are broken"
        )
    y = held_out.y
    pooled = calibration(logits, y)
    branches = {}
    for name, places in held_out.rows_of.items():
        own, labels = logits[places], y[places]
        branches[name] = _quality(own, labels, calibration(own, labels))
    return Evaluation(
        pooled=_quality(logits, y, pooled),
        branches=branches,
        alerts=held_out.card_days.alerts(logits),
        precision_recall=precision_recall(logits, y),
        reliability=pooled.reliability,
    )


def precision_recall(
    logits: _Floats, y: npt.NDArray[np.int8], points: int = CURVE_POINTS
) -> tuple[tuple[float, float], ...]:
    """Return the curve, thinned to about evenly spaced recalls; equal scores are one threshold."""
    if y.min() == y.max():
        return ()
    _, place, counts = np.unique(logits, return_inverse=True, return_counts=True)
    found = np.cumsum(np.bincount(place, weights=y, minlength=len(counts))[::-1])
    precision = found / np.cumsum(counts[::-1])
    wanted = np.linspace(found[0], found[-1], points)
    kept = np.unique(np.searchsorted(found, wanted))
    return tuple(
        (round(float(found[i] / found[-1]), 5), round(float(precision[i]), 5)) for i in kept
    )


def _quality(logits: _Floats, y: npt.NDArray[np.int8], measured: Calibration) -> Quality:
    return Quality(
        rows=len(y),
        frauds=int(y.sum()),
        average_precision=_known(average_precision(logits, y)),
        roc_auc=_known(roc_auc(logits, y)),
        brier=measured.brier,
        calibration_error=measured.error,
        predicted_rate=measured.predicted_rate,
    )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
