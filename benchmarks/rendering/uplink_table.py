"""An upload at two numbers of clients a round, on three tasks: docs/benchmarks.md."""

from __future__ import annotations

from rendering.markdown import Figures, count, percent, table

_TASKS = {
    "digits": "digits, 38,282 parameters",
    "cancer": "breast cancer, 4,130 parameters",
    "sensor": "made-up vibration signals, 19,462 parameters",
}


def render(figures: Figures) -> str:
    """Return the table of benchmarks/uplink.py."""
    rows = []
    for task, name in _TASKS.items():
        for cohort in (10, 3):
            row = figures[f"{task}_{cohort}"]
            rows.append((
                name, cohort, percent(row["accuracy"]), percent(row["accuracy_float32"]),
                count(row["bytes_per_update"], "B"), f"{row['times_smaller']:,.0f} times fewer",
            ))  # fmt: skip
    return table(("task, model", "clients a round", "accuracy", "float32", "an upload", ""), rows)
