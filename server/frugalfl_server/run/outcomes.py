"""What a final model said of the public test rows, counted: what a report draws of predictions.

Counts and figures are kept, never rows, and no more of them than bounds allow, however many rows,
classes or outputs there are. Only public rows are counted: of clients' rows the server has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from frugalfl.kinds import Kind
from frugalfl.kinds.counts import confusion
from frugalfl_server.run.sealed import write_sealed

Array = npt.NDArray[Any]
#: In the folder of a model.
FILE = "outcomes.json"
#: Stages of a model that are counted.
FLOAT, INT8 = "float", "int8"
#: Beyond so many classes nobody can read a confusion matrix: only sums of each class are kept.
MOST_IN_MATRIX = 50
#: Beyond so many classes or labels, and beyond so many outputs, nothing of each one is kept.
MOST_CLASSES, MOST_OUTPUTS = 1000, 64
#: Bins of a histogram along an axis; odd for residuals, so that zero is in the middle of one.
BINS, RESIDUAL_BINS = 40, 41
#: Shares of rows whose error is at most so much.
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "max": 1.0}
#: If all numbers would stretch an axis so many times, this share lies beyond each of its ends.
_STRETCH, _BEYOND = 2.0, 0.005


def count_outcomes(kind: Kind, outputs: Mapping[str, Array], targets: Array) -> dict[str, Any]:
    """Count what models said of the same rows.

    Args:
        kind: Of the task.
        outputs: By stage, :data:`FLOAT` and perhaps :data:`INT8`: float32, shape ``(rows, ...)``.
        targets: Of the same rows.

    Returns:
        Plain values for JSON: ``kind``, ``rows``, ``stages``, and edges of histograms.
    """
    count = _COUNTERS.get(kind.name.partition("(")[0])
    known = len(targets) > 0 and count is not None
    return {
        "kind": kind.name,
        "rows": len(targets),
        **(count(kind, outputs, targets) if known and count else {"stages": {}}),
    }


def write_outcomes(folder: Path, outcomes: Mapping[str, Any]) -> None:
    """Write them beside the model that they are of, with a checksum."""
    write_sealed(folder / FILE, dict(outcomes), shared=True)


def _of_classes(kind: Kind, outputs: Mapping[str, Array], targets: Array) -> dict[str, Any]:
    stages = {}
    for stage, values in outputs.items():
        tally = kind.tally(values, targets)
        classes = values.shape[1]
        table = confusion(tally).astype(np.int64)
        sums = np.stack([table.diagonal(), table.sum(0), table.sum(1)], axis=1)
        if classes <= MOST_IN_MATRIX:
            stages[stage] = {"confusion": table.tolist()}
        elif classes <= MOST_CLASSES:
            stages[stage] = {"right_said_true": sums.tolist()}
    return {"stages": stages}


def _of_labels(kind: Kind, outputs: Mapping[str, Array], targets: Array) -> dict[str, Any]:
    stages = {}
    for stage, values in outputs.items():
        four = kind.tally(values, targets).reshape(-1, 4).astype(np.int64)
        if len(four) <= MOST_CLASSES:
            stages[stage] = {"tp_fp_tn_fn": four.tolist()}
    return {"stages": stages}


def _of_values(kind: Kind, outputs: Mapping[str, Array], targets: Array) -> dict[str, Any]:
    """Return predicted against true, and their differences, over all numbers of all rows."""
    true = targets.reshape(len(targets), -1).astype(np.float64)
    said = {stage: values.reshape(true.shape).astype(np.float64)
            for stage, values in outputs.items()}  # fmt: skip
    edges = _edges([true, *said.values()], BINS)
    far = _largest(np.abs(values - true) for values in said.values())
    residual_edges = np.linspace(-far, far, RESIDUAL_BINS + 1)
    return {
        "values": true.size,
        "edges": edges.tolist(),
        "residual_edges": residual_edges.tolist(),
        "stages": {
            stage: {
                "joint": _joint(true, values, edges),
                "residuals": _histogram(values - true, residual_edges),
                "figures": _figures(kind, values, true, np.abs(values - true)),
                "outputs": _of_each(kind, values, true),
            }
            for stage, values in said.items()
        },
    }


def _of_rows(kind: Kind, outputs: Mapping[str, Array], targets: Array) -> dict[str, Any]:
    """Return how the mean squared error is spread over the rows."""
    true = targets.reshape(len(targets), -1).astype(np.float64)
    errors = {
        stage: np.square(values.reshape(true.shape).astype(np.float64) - true).mean(axis=1)
        for stage, values in outputs.items()
    }
    edges = np.linspace(0, _largest(errors.values()), BINS + 1)
    return {
        "values": len(true),
        "edges": edges.tolist(),
        "stages": {
            stage: {
                "errors": _histogram(error, edges),
                "figures": _figures(kind, outputs[stage], true, error),
            }
            for stage, error in errors.items()
        },
    }


_COUNTERS: Mapping[str, Callable[[Kind, Mapping[str, Array], Array], dict[str, Any]]] = {
    "classification": _of_classes,
    "segmentation": _of_classes,
    "binary": _of_labels,
    "multi-label": _of_labels,
    "regression": _of_values,
    "reconstruction": _of_rows,
}


def _figures(kind: Kind, said: Array, true: Array, sizes: Array) -> dict[str, float | None]:
    """Return the measures of a kind, the mean difference, and quantiles of errors' sizes."""
    tally = kind.tally(said, true)
    found = {name: measure(tally) for name, measure in kind.measures.items()}
    found["bias"] = float((said.reshape(true.shape) - true).mean())
    found |= {name: float(np.quantile(sizes, share)) for name, share in QUANTILES.items()}
    return {name: value if np.isfinite(value) else None for name, value in found.items()}


def _of_each(kind: Kind, said: Array, true: Array) -> list[dict[str, float | None]]:
    """Return the measures of each output, if there are several and not too many."""
    if not 1 < true.shape[1] <= MOST_OUTPUTS:
        return []
    tallies = [kind.tally(one, y) for one, y in zip(said.T, true.T, strict=True)]
    found = [{name: take(one) for name, take in kind.measures.items()} for one in tallies]
    return [{name: v if np.isfinite(v) else None for name, v in one.items()} for one in found]


def _joint(true: Array, said: Array, edges: Array) -> dict[str, list[int]]:
    """Count pairs of what is true and what was said, cells with any; those beyond are left out.

    A cell's number is ``BINS`` times its bin of what is true, plus its bin of what was said.
    """
    counts, _, _ = np.histogram2d(true.reshape(-1), said.reshape(-1), bins=(edges, edges))
    flat = counts.astype(np.int64).reshape(-1)
    cells = np.flatnonzero(flat)
    return {"cells": cells.tolist(), "counts": flat[cells].tolist()}


def _histogram(values: Array, edges: Array) -> list[int]:
    """Count numbers between edges; what lies beyond is left out."""
    return np.histogram(values[np.isfinite(values)], bins=edges)[0].tolist()  # type: ignore[no-any-return]


def _edges(groups: Sequence[Array], bins: int) -> Array:
    """Return the edges of equal bins that hold all, or nearly all, of some numbers."""
    together = np.concatenate([_finite(group) for group in groups])
    low, high = (float(end) for end in np.quantile(together, (_BEYOND, 1 - _BEYOND)))
    least, most = float(together.min()), float(together.max())
    if most - least <= _STRETCH * (high - low):
        low, high = least, most
    room = 0.05 * (high - low) or 0.1 * abs(high) or 1.0
    return np.linspace(low - room, high + room, bins + 1)


def _largest(groups: Iterable[Array]) -> float:
    """Return what all sizes, or nearly all, stay below."""
    together = np.concatenate([_finite(group) for group in groups])
    most, nearly = float(together.max()), float(np.quantile(together, 1 - _BEYOND))
    return 1.05 * (most if most <= _STRETCH * nearly else nearly) or 1.0


def _finite(values: Array) -> Array:
    known = values[np.isfinite(values)]
    return known if len(known) else np.zeros(1)
