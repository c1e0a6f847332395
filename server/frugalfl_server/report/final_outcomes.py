"""What the final model said of the public rows, as a run keeps it: read, and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.outcomes import BINS, FILE, FLOAT, INT8, MOST_CLASSES, RESIDUAL_BINS

Counts = npt.NDArray[np.int64]
#: How stages are called on the page.
STAGE_NAMES = {FLOAT: "float", INT8: "int8"}
_CARD = "model/model_card.json"


@dataclass(frozen=True)
class Outcomes:
    """What is known of a final model's answers; each mapping is by stage, ``float`` first.

    Attributes:
        kind: Of the task, without a threshold.
        rows: Public test rows that were counted.
        matrices: Confusion matrices: rows of what is true, columns of what was said.
        classes: How often each class, or label, was rightly said, said, and true; shape
            ``(classes, 3)``.
        names: Of classes or outputs, as the task says them, or numbers.
        edges: Of the bins of :attr:`joint` or :attr:`errors`; empty if there are none.
        joint: Values: bins of what is true by bins of what was said.
        residual_edges: Of the bins of :attr:`residuals`.
        residuals: Values: what was said minus what is true.
        errors: Reconstructions: mean squared error of a row.
        figures: Measures, ``bias`` and quantiles of error sizes, by name; None: not known.
        outputs: Measures of each output, if there are several.
        unit: Of the targets, as the task says it; empty: it does not.
        values: Numbers, or errors of rows, that histograms are of.
    """

    kind: str
    rows: int
    names: Sequence[str] = ()
    matrices: Mapping[str, Counts] = field(default_factory=dict)
    classes: Mapping[str, Counts] = field(default_factory=dict)
    edges: Sequence[float] = ()
    joint: Mapping[str, Counts] = field(default_factory=dict)
    residual_edges: Sequence[float] = ()
    residuals: Mapping[str, Counts] = field(default_factory=dict)
    errors: Mapping[str, Counts] = field(default_factory=dict)
    figures: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    outputs: Mapping[str, Sequence[Mapping[str, float | None]]] = field(default_factory=dict)
    unit: str = ""
    values: int = 0

    @property
    def beyond(self) -> int:
        """How many of them, of the float model, lie beyond the ends of an axis."""
        for counts in (*self.joint.values(), *self.errors.values()):
            return self.values - int(counts.sum())
        return 0

    @property
    def counted(self) -> str:
        """What the counts are of."""
        return "places" if self.kind == "segmentation" else "rows"


def read_outcomes(run: RunDirectory) -> Outcomes | None:
    """Read what a run keeps of its final model's answers; None: it is older, or has no model.

    Raises:
        RunError: The file is damaged.
        ValueError: It holds what it should not.
    """
    if not (run.path / "model" / FILE).exists():
        return None
    kept = run.read_json(f"model/{FILE}")
    stages = {name: kept["stages"][name] for name in STAGE_NAMES if name in kept["stages"]}
    matrices, classes = _count(stages)
    told = _read_about(run)
    each = len(next(iter(classes.values()), ())) or _most_outputs(stages)
    return Outcomes(
        kind=str(kept["kind"]).partition("(")[0],
        rows=int(kept["rows"]),
        names=_names(told.get("classes", told.get("labels")), each),
        matrices=matrices,
        classes=classes,
        edges=_edges(kept, "edges", BINS),
        joint={name: _joint(one["joint"]) for name, one in stages.items() if "joint" in one},
        residual_edges=_edges(kept, "residual_edges", RESIDUAL_BINS),
        residuals=_histograms(stages, "residuals", RESIDUAL_BINS),
        errors=_histograms(stages, "errors", BINS),
        figures={name: one["figures"] for name, one in stages.items() if "figures" in one},
        outputs={name: one["outputs"] for name, one in stages.items() if one.get("outputs")},
        unit=str(told.get("unit", "")),
        values=int(kept.get("values", 0)),
    )


def _read_about(run: RunDirectory) -> Mapping[str, Any]:
    """Return what the task says about its model; empty if it says nothing."""
    if not (run.path / _CARD).exists():
        return {}
    from frugalfl.foreign import read_json

    about = read_json(run.path / _CARD).get("about")
    return about if isinstance(about, dict) else {}


def _names(told: object, classes: int) -> list[str]:
    if isinstance(told, list) and len(told) == classes:
        return list(map(str, told))
    return [str(number) for number in range(classes)]


def _most_outputs(stages: Mapping[str, Any]) -> int:
    return max((len(one.get("outputs", ())) for one in stages.values()), default=0)


def _count(stages: Mapping[str, Any]) -> tuple[dict[str, Counts], dict[str, Counts]]:
    """Return confusion matrices, and what each class adds up to."""
    matrices: dict[str, Counts] = {}
    classes: dict[str, Counts] = {}
    for name, one in stages.items():
        if "confusion" in one:
            table = matrices[name] = _table(one["confusion"], len(one["confusion"]))
            classes[name] = np.stack([table.diagonal(), table.sum(0), table.sum(1)], axis=1)
        elif "right_said_true" in one:
            classes[name] = _table(one["right_said_true"], 3)
        elif "tp_fp_tn_fn" in one:
            yes, wrong, no, missed = _table(one["tp_fp_tn_fn"], 4).T
            if len(yes) == 1:
                table = matrices[name] = np.array([[no[0], wrong[0]], [missed[0], yes[0]]])
                classes[name] = np.stack([table.diagonal(), table.sum(0), table.sum(1)], axis=1)
            else:
                classes[name] = np.stack([yes, yes + wrong, yes + missed], axis=1)
    return matrices, classes


def _table(values: Any, columns: int) -> Counts:
    """Return counts as an array.

    Raises:
        ValueError: They are none.
    """
    if len(values) > MOST_CLASSES:
        raise ValueError(f"it counts {len(values)} classes")
    table = np.array(values, np.int64)
    if table.ndim != 2 or table.shape[1] != columns or (table < 0).any():
        raise ValueError(f"its counts have shape {table.shape}, or are negative")
    return table


def _histograms(stages: Mapping[str, Any], name: str, bins: int) -> dict[str, Counts]:
    found = {stage: one[name] for stage, one in stages.items() if name in one}
    return {stage: _table([counts], bins)[0] for stage, counts in found.items()}


def _joint(kept: Mapping[str, Any]) -> Counts:
    table = np.zeros(BINS * BINS, np.int64)
    counts = _table([kept["counts"]], len(kept["cells"]))[0]
    table[np.array(kept["cells"], np.int64)] = counts
    return table.reshape(BINS, BINS)


def _edges(kept: Mapping[str, Any], name: str, bins: int) -> list[float]:
    """Return edges of bins, rising.

    Raises:
        ValueError: They are not.
    """
    edges = np.array(kept.get(name, ()), np.float64)
    if len(edges) and (len(edges) != bins + 1 or not (np.diff(edges) > 0).all()):
        raise ValueError(f"its {name} are not {bins + 1} rising numbers")
    return [float(edge) for edge in edges]
