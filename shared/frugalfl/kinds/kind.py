"""The kinds of tasks, each with the metrics of its field.

Every metric but a ranking is a function of a *tally*: a short vector of sums over rows. Tallies of
batches, and of clients, add up, so that a federation can be measured where its rows are: only the
sums travel.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from frugalfl.errors import UsageError
from frugalfl.kinds import counts, differences
from frugalfl.metrics import Measure, average_precision, roc_auc

Array = npt.NDArray[Any]
#: Sums over rows, float64, shape ``(numbers,)``.
Tally = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Kind:
    """One kind of task.

    Attributes:
        name: As a task says it.
        tally: ``(outputs, targets)`` of some rows to their sums.
        accuracy: From a tally to the share of rows that are right; ``None``: nothing is right or
            wrong here.
        measures: By name, from a tally to a number, beside accuracy; NaN: not defined.
        rankings: By name, measures that need all rows at once, and so the server's own.
        about: By name of a measure, its direction and unit; the others are shares, larger better.
        size: From a tally to how much was counted in it: as much of every row; NaN: it is none.
        misfit: ``(shape of outputs, targets)`` to why these do not go together; empty: they do.
    """

    name: str
    tally: Callable[[Array, Array], Tally]
    misfit: Callable[[tuple[int, ...], Array], str]
    accuracy: Callable[[Tally], float] | None = None
    measures: Mapping[str, Callable[[Tally], float]] = field(default_factory=dict)
    rankings: Mapping[str, Callable[[Array, Array], float]] = field(default_factory=dict)
    about: Mapping[str, Measure] = field(default_factory=dict)
    size: Callable[[Tally], float] = counts.size

    def measure(self, name: str) -> Measure:
        """Return a measure that is taken of outputs and targets."""
        known = self.about.get(name, Measure(counts.never))
        return Measure(partial(self._take, name), known.better, known.unit)

    def _take(self, name: str, outputs: Array, targets: Array) -> float:
        if name in self.rankings:
            return self.rankings[name](outputs, targets)
        return self.measures[name](self.tally(outputs, targets))


def _binary(threshold: float) -> Kind:
    """Return the kind of one output a row that says yes above a threshold."""
    return Kind(
        "binary" if threshold == 0 else f"binary({threshold:g})",
        partial(counts.of_labels, threshold=threshold),
        partial(_pair_up, "binary", single=True),
        accuracy=counts.share_of_labels,
        measures={"f1": counts.f1_of_positives},
        rankings={"average_precision": _flat(average_precision), "roc_auc": _flat(roc_auc)},
    )


def _multi_label(threshold: float) -> Kind:
    """Return the kind of several outputs a row, each of which says yes above a threshold."""
    return Kind(
        "multi-label" if threshold == 0 else f"multi-label({threshold:g})",
        partial(counts.of_labels, threshold=threshold),
        partial(_pair_up, "multi-label"),
        measures={"f1": counts.mean_f1, "label_accuracy": counts.share_of_labels},
    )


def _segmentation(ignored: int | None) -> Kind:
    """Return the kind of one class a place, without the places where the target is ``ignored``."""
    return Kind(
        "segmentation" if ignored is None else f"segmentation({ignored})",
        partial(counts.of_classes, ignored=ignored),
        partial(_classes, ignored=ignored),
        measures={
            "iou": partial(counts.mean_iou, ignored=ignored), "pixel_accuracy": counts.share_of_rows
        },
    )  # fmt: skip


def _flat(ranking: Callable[[Array, Array], float]) -> Callable[[Array, Array], float]:
    return lambda outputs, targets: ranking(outputs.reshape(-1), targets.reshape(-1))


def _pair_up(
    name: str, outputs: tuple[int, ...], targets: Array, single: bool = False, labels: bool = True
) -> str:
    """Say why outputs and targets do not pair up number by number; empty: they do."""
    each, theirs = int(np.prod(outputs[1:])), int(np.prod(targets.shape[1:]))
    if each != theirs or (single and each != 1):
        return f"outputs have shape {outputs}, targets {targets.shape}"
    if labels and not np.isin(targets, (0, 1)).all():
        return f"targets of a {name} task are 0 or 1, not {np.unique(targets)[:5].tolist()}"
    return ""


def _classes(outputs: tuple[int, ...], targets: Array, ignored: int | None = None) -> str:
    """Say why targets are not class numbers of these outputs; empty: they are."""
    if len(outputs) < 2 or targets.shape[1:] != outputs[2:]:
        flat = targets.ndim == 2 and targets.shape[1] == 1
        hint = "; write y[:, 0]" if flat and len(outputs) == 2 else ""
        return f"outputs have shape {outputs}, targets {targets.shape}{hint}"
    if not np.issubdtype(targets.dtype, np.integer):
        return f"targets are {targets.dtype}, not class numbers"
    counted = targets if ignored is None else targets[targets != ignored]
    if counted.size and not 0 <= counted.min() <= counted.max() < outputs[1]:
        low, high = counted.min(), counted.max()
        odd = low if low < 0 else high
        hint = f'; if the loss ignores {odd}, say kind="segmentation({odd})"'
        return f"classes go from {low} to {high}, the model has 0 to {outputs[1] - 1}" + (
            hint if len(outputs) > 2 else ""
        )
    return ""


CLASSIFICATION = Kind(
    "classification", counts.of_classes, _classes, accuracy=counts.share_of_rows,
)  # fmt: skip

#: Outputs and targets of which nothing is known: only the task's own metrics measure them.
UNKNOWN = Kind("unknown", lambda *_: np.zeros(0), lambda *_: "")

_ERRORS = {
    "rmse": Measure(counts.never, "lower", "target"),
    "mae": Measure(counts.never, "lower", "target"),
    "mse": Measure(counts.never, "lower", "target squared"),
    "r2": Measure(counts.never, "higher", ""),
}

#: By the name that a task may say.
KINDS: Mapping[str, Kind] = {
    one.name: one
    for one in (
        CLASSIFICATION,
        _binary(0),
        _multi_label(0),
        Kind(
            "regression", differences.of_values, partial(_pair_up, "regression", labels=False),
            measures={"rmse": differences.rmse, "mae": differences.mae, "r2": differences.r2},
            about=_ERRORS, size=differences.size,
        ),
        Kind(
            "reconstruction", differences.of_values,
            partial(_pair_up, "reconstruction", labels=False),
            measures={"mse": differences.mse, "r2": differences.r2},
            about=_ERRORS, size=differences.size,
        ),
        _segmentation(None),
    )
}  # fmt: skip


def kind_named(text: str) -> Kind:
    """Return a kind by its name.

    ``binary(0.5)`` says that outputs are probabilities, ``segmentation(255)`` that places with the
    target 255 do not count.

    Raises:
        UsageError: There is none of that name.
    """
    if text in KINDS:
        return KINDS[text]
    match re.fullmatch(r"(binary|multi-label)\((0?\.\d+)\)", text):
        case re.Match() as found:
            make = _binary if found[1] == "binary" else _multi_label
            return make(float(found[2]))
    if ignored := re.fullmatch(r"segmentation\((-?\d{1,10})\)", text):
        return _segmentation(int(ignored[1]))
    raise UsageError(f"unknown kind of task {text!r}; it is one of {', '.join(KINDS)}")
