"""Tables of what the final model said: precision and recall by class, errors of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from frugalfl_server.report.final_outcomes import STAGE_NAMES, Outcomes
from frugalfl_server.report.sheet import Cell, Sheet
from frugalfl_server.report.texts import measure_name

#: Figures of errors, in the order that people see them.
_FIGURES = {
    "bias": "mean of predicted minus true",
    "p50": "median absolute error",
    "p90": "90 % of absolute errors are below",
    "p95": "95 % of absolute errors are below",
    "p99": "99 % of absolute errors are below",
    "max": "largest absolute error",
}
_OF_ROWS = {
    "p50": "median error of a row",
    "p90": "90 % of rows are below",
    "p95": "95 % of rows are below",
    "p99": "99 % of rows are below",
    "max": "largest error of a row",
}


def class_sheet(outcomes: Outcomes) -> Sheet | None:
    """Return precision, recall and F1 of each class, and their mean; None without classes."""
    if not outcomes.classes:
        return None
    one, several = ("label", "labels") if outcomes.kind == "multi-label" else ("class", "classes")
    header = [one, "support"]
    segments = outcomes.kind == "segmentation"
    for stage in outcomes.classes:
        own = ["precision", "recall", "F1", *(["IoU"] if segments else [])]
        header += [f"{name}, {STAGE_NAMES[stage]}" for name in own]
    rows: list[list[Cell]] = []
    for place, name in enumerate(outcomes.names):
        counts = [[int(one) for one in table[place]] for table in outcomes.classes.values()]
        scores = [score for three in counts for score in _scores(three, segments)]
        rows.append([name, counts[0][2], *scores])
    return Sheet("classes", header, [*rows, _mean(rows, f"mean of the {several}")])


def _scores(counts: Sequence[int], segments: bool) -> list[float | None]:
    right, said, true = counts
    union = said + true - right
    found = [_share(right, said), _share(right, true), _share(2 * right, said + true)]
    return [*found, _share(right, union)] if segments else found


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean(rows: Sequence[Sequence[Cell]], name: str) -> list[Cell]:
    """Return the plain mean over classes of what is known of each."""
    means: list[Cell] = []
    for column in list(zip(*rows, strict=True))[2:]:
        known = [value for value in column if isinstance(value, float)]
        means.append(fmean(known) if known else None)
    support = sum(row[1] for row in rows if isinstance(row[1], int))
    return [name, support, *means]


def error_sheet(outcomes: Outcomes) -> Sheet | None:
    """Return measures and quantiles of errors of the final model; None if it has no values."""
    if not outcomes.figures:
        return None
    names = _OF_ROWS if outcomes.errors else _FIGURES
    stages = list(outcomes.figures.values())
    measured = [name for name in stages[0] if name not in _FIGURES]
    shown = {**{name: measure_name(name) for name in measured}, **names}
    rows: list[list[Cell]] = [
        [words, *(one.get(name) for one in stages)] for name, words in shown.items()
    ]
    return Sheet("errors", ["", *(STAGE_NAMES[name] for name in outcomes.figures)], rows)


def output_sheet(outcomes: Outcomes) -> Sheet | None:
    """Return the measures of each output; None if there is one output only."""
    if not outcomes.outputs:
        return None
    first: Mapping[str, float | None] = next(iter(outcomes.outputs.values()))[0]
    header = ["output"] + [
        f"{measure_name(name)}, {STAGE_NAMES[stage]}"
        for stage in outcomes.outputs
        for name in first
    ]
    rows: list[list[Cell]] = [
        [name, *(one[place].get(key) for one in outcomes.outputs.values() for key in first)]
        for place, name in enumerate(outcomes.names)
    ]
    return Sheet("outputs", header, rows)
