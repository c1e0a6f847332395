"""The figures of a scheme on a task with a cohort, as they stand in the JSON file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from frugalfl.errors import UsageError
from schemes.curve import HOLD, Curve
from schemes.search import Best

#: Plain values under stable names, so that a later run can take them from the file.
Cell = dict[str, Any]
#: Task, cohort and scheme.
Key = tuple[str, int, str]


def cell(task: str, cohort: int, name: str, best: Best, target: float, rounds: int) -> Cell:
    """Return the figures of a scheme on a task with a cohort."""
    curves = best.curves
    clients = cohort * sum(len(curve.accuracy) for curve in curves)
    whole = min(len(curve.accuracy) for curve in curves)
    return {
        "task": task,
        "cohort": cohort,
        "scheme": name,
        "learning_rate": best.rate,
        "target": target,
        "rounds": rounds,
        "first": _reaching(curves, target, 1),
        "held": _reaching(curves, target, HOLD),
        "accuracy": [curve.final for curve in curves],
        "up_bytes_per_update": sum(sum(curve.up) for curve in curves) / max(clients, 1),
        "down_bytes_per_client": sum(sum(curve.down) for curve in curves) / max(clients, 1),
        "diverged": [curve.diverged for curve in curves if curve.diverged],
        "mean_accuracy_by_round": _means([curve.accuracy[:whole] for curve in curves]),
        "mean_bytes_by_round": _means([curve.sent[:whole] for curve in curves]),
    }


def _reaching(curves: Sequence[Curve], target: float, hold: int) -> dict[str, Any]:
    """Return rounds and bytes until the target, seed by seed (``None``: never)."""
    rounds = [curve.reached(target, hold) for curve in curves]
    sent = [None if r is None else c.sent[r - 1] for r, c in zip(rounds, curves, strict=True)]
    every = [count for count in sent if count is not None]
    joules = [
        curve.joules_until(r) for r, curve in zip(rounds, curves, strict=True) if r is not None
    ]
    return {
        "rounds": rounds,
        "bytes": sent,
        "mean_bytes": fmean(every) if len(every) == len(sent) else None,
        "mean_joules_estimated": _mean_of_all(joules, len(curves)),
    }


def _mean_of_all(values: Sequence[float | None], seeds: int) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == seeds else None


def _means(rows: Sequence[Sequence[float]]) -> list[float]:
    return [round(fmean(column), 4) for column in zip(*rows, strict=True)]


def earlier_cells(
    file: Path, seeds: Sequence[int], chosen_on: Sequence[int], quick: bool
) -> dict[Key, Cell]:
    """Read the cells of an earlier run.

    Raises:
        UsageError: It is no such file, or it ran with other seeds.
    """
    try:
        figures = json.loads(file.read_text(encoding="utf-8"))
        cells = {(cell["task"], cell["cohort"], cell["scheme"]): cell for cell in figures["cells"]}
        made_with = figures["seeds"], figures["chosen_on"], figures["about"]["quick"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{file} holds no figures of this benchmark: {error}") from error
    if made_with != (list(seeds), list(chosen_on), quick):
        raise UsageError(f"{file} was made with other seeds, or with --quick; run all of it anew")
    return cells
