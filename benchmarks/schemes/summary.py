"""Every scheme beside float32, in five numbers; and its joules beside those of our defaults."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean
from typing import Any

from schemes.catalogue import FLOAT32, OURS
from schemes.cells import Cell


def summary_of(cells: Iterable[Cell]) -> list[dict[str, Any]]:
    """Return how many times fewer bytes each scheme takes, and at what accuracy.

    Schemes of whose task and cohort float32 was not run are left out. What is not known, because
    a seed did not reach the target, is ``None``.
    """
    known = {(one["task"], one["cohort"], one["scheme"]): one for one in cells}
    summary = []
    for (task, cohort, scheme), one in known.items():
        float32 = known.get((task, cohort, FLOAT32))
        if float32 is None or scheme == FLOAT32:
            continue
        lost = fmean(float32["accuracy"]) - fmean(one["accuracy"])
        summary.append(
            {
                "task": task,
                "cohort": cohort,
                "scheme": scheme,
                "times_fewer_to_target": _times(_to_target(float32), _to_target(one)),
                "times_fewer_whole_run": _times(_whole_run(float32), _whole_run(one)),
                "accuracy_gap_points": round(100 * lost, 2),
                "uplink_bytes_per_update": round(one["up_bytes_per_update"], 1),
                "downlink_bytes_per_client_round": round(one["down_bytes_per_client"], 1),
                "estimated_joules_to_target_over_full_plan": _over(
                    _joules(one), _joules(known.get((task, cohort, OURS)))
                ),
            }
        )
    return summary


def _to_target(cell: Cell) -> float | None:
    found: float | None = cell["first"]["mean_bytes"]
    return found


def _whole_run(cell: Cell) -> float | None:
    """Return the bytes of all rounds; ``None``: a seed did not get to the last one."""
    by_round = cell["mean_bytes_by_round"]
    return by_round[-1] if len(by_round) == cell["rounds"] else None


def _joules(cell: Cell | None) -> float | None:
    found: float | None = cell and cell["first"]["mean_joules_estimated"]
    return found


def _over(one: float | None, full: float | None) -> float | None:
    return round(one / full, 2) if one and full else None


def _times(float32: float | None, other: float | None) -> float | None:
    return round(float32 / other, 1) if float32 and other else None
