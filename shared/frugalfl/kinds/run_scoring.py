"""What a run's models are measured by: the task's own metrics, then those of its kind."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from frugalfl.kinds.counts import never
from frugalfl.kinds.kind import CLASSIFICATION, UNKNOWN, Kind, Tally
from frugalfl.metrics import Measure, Metric, add_direction, measure
from frugalfl.task import Task

Array = npt.NDArray[Any]
ACCURACY = "accuracy"


@dataclass(frozen=True)
class Scores:
    """What is known of a model on some rows.

    Attributes:
        accuracy: Share of rows that are right, in [0, 1]; None: not known, or nothing is right or
            wrong in a task of this kind.
        metrics: The other measures, by name; None if not known.
        right: Number of rows that are right; None likewise.
    """

    accuracy: float | None
    metrics: Mapping[str, float | None]
    right: int | None = None


@dataclass(frozen=True)
class Scoring:
    """What is measured.

    Attributes:
        kind: Of the task.
        own: The task's own measures, by name.
    """

    kind: Kind
    own: Mapping[str, Measure]

    @property
    def measures(self) -> dict[str, Measure]:
        """Every measure beside accuracy, by name, the task's own first."""
        of_kind = [*self.kind.measures, *self.kind.rankings]
        return {**{name: self.kind.measure(name) for name in of_kind}, **self.own}

    @property
    def names(self) -> list[str]:
        """All measures in the order that people see them; the first one is the headline."""
        counted = [ACCURACY] if self.kind.accuracy else []
        of_kind = [*counted, *self.kind.measures, *self.kind.rankings]
        return list(dict.fromkeys([*self.own, *of_kind]))

    @property
    def headline(self) -> str:
        """Name of the measure that gates, early stopping and reports go by."""
        return self.names[0]

    def better(self, name: str) -> str:
        """Say which value of a measure is better: ``higher`` or ``lower``."""
        return "higher" if name == ACCURACY else self.measures[name].better

    def score(self, outputs: Array, targets: Array) -> Scores:
        """Score a model's outputs.

        Args:
            outputs: float32, shape ``(rows, ...)``.
            targets: Of the same rows.

        Raises:
            TaskError: A metric raised, or returned something else than a number.
        """
        tally = self.kind.tally(outputs, targets)
        ordered = {name: self.measures[name] for name in self.names if name != ACCURACY}
        return self._with_accuracy(tally, measure(ordered, outputs, targets), len(targets))

    def of_tally(self, tally: Tally, rows: int) -> Scores:
        """Score what clients added up: rankings and the task's own metrics are not known."""
        known = {name: _finite(self.kind.measures[name](tally)) for name in self.kind.measures}
        others = {name: known.get(name) for name in self.names if name != ACCURACY}
        return self._with_accuracy(tally, others, rows)

    def _with_accuracy(
        self, tally: Tally, metrics: Mapping[str, float | None], rows: int
    ) -> Scores:
        if self.kind.accuracy is None:
            return Scores(None, metrics)
        share = self.kind.accuracy(tally)
        return Scores(_finite(share), metrics, round(share * rows) if rows else None)

    def about(self) -> list[dict[str, str]]:
        """Return what a run keeps of its measures: name, direction and unit, in their order."""
        units = {ACCURACY: "share", **{name: one.unit for name, one in self.measures.items()}}
        return [
            {"name": name, "better": self.better(name), "unit": units[name]} for name in self.names
        ]


def scoring_of(task: Task, kind: Kind = CLASSIFICATION) -> Scoring:
    """Return what models of a task are measured by."""
    return Scoring(kind, _with_directions(task.metrics))


def unknown_scores(scoring: Scoring) -> Scoring:
    """Return the same measures, of rows whose targets nobody knows: each of them is unknown."""
    return Scoring(
        UNKNOWN, {name: replace(one, of=never) for name, one in scoring.measures.items()}
    )


def scoring_by_targets(targets: Array, metrics: Mapping[str, Metric]) -> Scoring:
    """Return what a model without a task is measured by: accuracy only if targets are classes."""
    classes = np.issubdtype(targets.dtype, np.integer) and targets.ndim == 1
    return Scoring(CLASSIFICATION if classes else UNKNOWN, _with_directions(metrics))


def _with_directions(metrics: Mapping[str, Metric]) -> dict[str, Measure]:
    return {name: add_direction(name, one) for name, one in metrics.items()}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
