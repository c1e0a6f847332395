"""Metrics beside accuracy: what a task names, and two for rare positives.

With 0.8 % positives, a model that never says yes is right in 99.2 % of all rows. Average precision
and the area under the ROC curve look only at how the rows are ranked:

    Task("fraud", ..., metrics={"average_precision": two_class_average_precision})

A metric that is not defined on some rows, because all of them are of one class, is NaN, and what
asks for it takes that for unknown.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from frugalfl.errors import TaskError

#: ``(outputs, targets) -> number``: float32 ``(rows, classes)`` and one target a row.
Metric = Callable[[npt.NDArray[np.float32], npt.NDArray[Any]], float]

_Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class Measure:
    """A metric that knows its direction; a plain function of a task is a share, larger better.

    Attributes:
        of: Takes it.
        better: Whether a model is better with a higher or with a lower value.
        unit: What the number is: a ``share`` of 1; in the targets' unit (``target``) or its square
            (``target squared``); in a unit that is called by its name, ``kW``; empty: plain.
    """

    of: Metric
    better: Literal["higher", "lower"] = "higher"
    unit: str = "share"

    def __post_init__(self) -> None:
        if self.better not in ("higher", "lower"):
            raise TaskError(f"better is {self.better!r}; a measure is better higher or lower")

    def __call__(self, outputs: npt.NDArray[np.float32], targets: _Numbers) -> float:
        """Take the measure of some rows."""
        return self.of(outputs, targets)

    @property
    def most_lost(self) -> float:
        """How much int8 may cost, as :meth:`lost` counts it."""
        return MAX_RISE if self._relative else MAX_LOST

    @property
    def limit_text(self) -> str:
        """The same for people."""
        if self.unit.startswith("target"):
            return f"{self.most_lost:.0%} of the targets' spread"
        return f"{self.most_lost:.0%}" if self._relative else f"{self.most_lost:.3f}"

    @property
    def _relative(self) -> bool:
        """Whether what is lost is compared with the value itself."""
        if self.unit.startswith("target"):
            return False
        return self.better == "lower" or self.unit not in ("share", "")

    def lost(self, exact: float, now: float, spread: float) -> float:
        """Return how much worse a value became; negative: it became better.

        Shares lose points. An error in the targets' unit is compared with the targets' spread,
        because a good model's own error is no yardstick; any other error with itself.

        Args:
            exact: Of the float model.
            now: Of the other one.
            spread: Standard deviation of the targets.
        """
        if self.unit == "target squared":
            exact, now = math.sqrt(exact), math.sqrt(now)
        apart = exact - now if self.better == "higher" else now - exact
        if self.unit.startswith("target"):
            return float(apart / max(spread, np.finfo(np.float64).tiny))
        if self._relative:
            return float(apart / max(abs(exact), np.finfo(np.float64).tiny))
        return apart


#: How errors are called: by scikit-learn's rule, and in short.
_ERRORS = ("_error", "_loss", "_deviance")
_CALLED_ERRORS = ("mae", "mse", "rmse", "error", "loss", "mape")
#: What int8 may cost: two points, or so much of the targets' spread ...
MAX_LOST = 0.02
#: ... and so much of an error whose unit is not known.
MAX_RISE = 0.1


def average_precision(scores: _Numbers, y: _Numbers) -> float:
    """Return the average precision: the sum of ``(R_n - R_{n-1}) P_n`` over all thresholds.

    ``P_n`` and ``R_n`` are precision and recall at the n-th highest score; equal scores are one
    threshold, and nothing is interpolated. The definition is scikit-learn's.

    Args:
        scores: One a row, higher for what is more likely positive, shape ``(rows,)``.
        y: 0 or 1, shape ``(rows,)``.

    Returns:
        In [0, 1]; NaN if all rows are of one class, or a score is NaN.

    Raises:
        TaskError: Shapes that do not pair up, or targets that are not 0 and 1.
    """
    counted = _count_by_score(scores, y)
    if counted is None:
        return math.nan
    true, sizes = (counts[::-1] for counts in counted)
    found = np.cumsum(true)
    precision = found / np.cumsum(sizes)
    return float((true * precision).sum() / found[-1])


def roc_auc(scores: _Numbers, y: _Numbers) -> float:
    """Return the area under the ROC curve: how often a positive row scores above a negative one.

    Computed from ranks, as the Mann-Whitney U statistic: a tie counts one half.

    Args:
        scores: One a row, higher for what is more likely positive, shape ``(rows,)``.
        y: 0 or 1, shape ``(rows,)``.

    Returns:
        In [0, 1]; NaN if all rows are of one class, or a score is NaN.

    Raises:
        TaskError: Shapes that do not pair up, or targets that are not 0 and 1.
    """
    counted = _count_by_score(scores, y)
    if counted is None:
        return math.nan
    true, sizes = counted
    false = sizes - true
    below = np.cumsum(false) - false
    return float((true * (below + false / 2)).sum() / (true.sum() * false.sum()))


def two_class_average_precision(outputs: _Numbers, y: _Numbers) -> float:
    """Return the average precision of two-class outputs, for :attr:`frugalfl.Task.metrics`.

    Args:
        outputs: Logits, shape ``(rows, 2)``; a row's score is the second minus the first.
        y: 0 or 1, shape ``(rows,)``.

    Raises:
        TaskError: As :func:`average_precision`.
    """
    return average_precision(_margin(outputs), y)


def two_class_roc_auc(outputs: _Numbers, y: _Numbers) -> float:
    """Return the area under the ROC curve of two-class outputs, likewise.

    Args:
        outputs: Logits, shape ``(rows, 2)``; a row's score is the second minus the first.
        y: 0 or 1, shape ``(rows,)``.

    Raises:
        TaskError: As :func:`roc_auc`.
    """
    return roc_auc(_margin(outputs), y)


def add_direction(name: str, metric: Metric) -> Measure:
    """Return a metric with its direction: what a Measure or its library says.

    scikit-learn calls what is better lower ``..._error``, ``..._loss`` or ``..._deviance``;
    torchmetrics' classes know it. A plain function is a share, larger better, if it is not called
    like an error.

    Raises:
        TaskError: It is called like an error, and does not say so.
    """
    if isinstance(metric, Measure):
        return metric
    home, named = _home(metric)
    if home == "torchmetrics" and getattr(metric, "higher_is_better", None) is not None:
        return Measure(metric, "higher" if metric.higher_is_better else "lower", "")  # type: ignore[attr-defined]
    if home == "sklearn":
        return Measure(metric, "lower", "") if named.endswith(_ERRORS) else Measure(metric)
    if name.lower() in _CALLED_ERRORS or name.lower().endswith(_ERRORS):
        raise TaskError(
            f"metric {name!r} is called like an error, and a plain function is better higher; say "
            f'what it is: Measure({name}, "lower")'
        )
    return Measure(metric)


def measure(
    metrics: Mapping[str, Metric], outputs: _Numbers, targets: _Numbers
) -> dict[str, float | None]:
    """Return every metric of the same rows; None if it is not finite, so not known.

    Args:
        metrics: By name, as :attr:`frugalfl.Task.metrics`.
        outputs: Of the model, float32, shape ``(rows, ...)``; metrics cannot change them.
        targets: Of the same rows.

    Raises:
        TaskError: A metric raised, or returned something else than a number.
    """
    shown = outputs.view()
    shown.flags.writeable = False
    return {name: _value(name, metric, shown, targets) for name, metric in metrics.items()}


def words(name: str) -> str:
    """Return the name of a metric as people read it.

    >>> words("average_precision")
    'average precision'
    """
    return name.replace("_", " ")


def number(value: float | None) -> str:
    """Return a measure with three decimals, or if these say little with three digits.

    >>> number(0.9472), number(0.00123456), number(53.44), number(-0.2), number(None)
    ('0.947', '0.00123', '53.4', '-0.200', '–')
    """
    if value is None:
        return "–"
    return f"{value:.3f}" if value == 0 or 0.01 <= abs(value) < 10 else f"{value:.3g}"


def _value(name: str, metric: Metric, outputs: _Numbers, targets: _Numbers) -> float | None:
    try:
        value = float(_call(metric, outputs, targets))
    except Exception as error:
        told = str(error) if isinstance(error, TaskError) else f"{type(error).__name__}: {error}"
        raise TaskError(f"metric {name!r} failed: {told}") from error
    return value if math.isfinite(value) else None


def _call(metric: Metric, outputs: _Numbers, targets: _Numbers) -> Any:
    """Call a metric as its library wants it: scikit-learn's take the targets first."""
    of: Any = metric.of if isinstance(metric, Measure) else metric
    home, _ = _home(of)
    if home == "sklearn":
        return of(targets, outputs)
    if home == "torchmetrics":
        torch: Any = sys.modules["torch"]  # the metric has loaded it
        return of(torch.tensor(outputs), torch.tensor(targets))
    return metric(outputs, targets)


def _home(metric: Metric) -> tuple[str, str]:
    """Return the library that a metric is of, and its name there."""
    plain: Any = metric.func if isinstance(metric, partial) else metric
    module = getattr(plain, "__module__", None) or type(plain).__module__
    return module.partition(".")[0], getattr(plain, "__name__", type(plain).__name__)


def _margin(outputs: _Numbers) -> _Numbers:
    if outputs.ndim != 2 or outputs.shape[1] != 2:
        raise TaskError(
            f"outputs have shape {outputs.shape}, not (rows, 2); for other outputs write a metric "
            "that makes one score a row of them"
        )
    # In float32 margins would tie that do not; two infinities leave a NaN, which is unknown.
    exact = outputs.astype(np.float64)
    with np.errstate(invalid="ignore"):
        margin: _Numbers = exact[:, 1] - exact[:, 0]
    return margin


def _count_by_score(scores: _Numbers, y: _Numbers) -> tuple[_Numbers, _Numbers] | None:
    """Return how many rows with each score are positive, and how many there are, lowest first.

    ``None``: no ranking is defined.
    """
    positive = _check(scores, y)
    if positive is None:
        return None
    _, place, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    return np.bincount(place, weights=positive, minlength=len(sizes)), sizes


def _check(scores: _Numbers, y: _Numbers) -> npt.NDArray[np.bool_] | None:
    """Return which rows are positive; None if no ranking is defined."""
    scores, y = np.asarray(scores), np.asarray(y)
    if scores.ndim != 1 or scores.shape != y.shape:
        raise TaskError(
            f"scores have shape {scores.shape} and targets {y.shape}; one of each a row is needed "
            "(of outputs (rows, 2), the metrics named two_class_... make them)"
        )
    positive: npt.NDArray[np.bool_] = y == 1
    if not (positive | (y == 0)).all():
        raise TaskError(f"targets are {np.unique(y)[:5].tolist()}, not 0 and 1")
    if np.isnan(scores).any() or positive.all() or not positive.any():
        return None
    return positive
