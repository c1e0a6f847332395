"""Half of a residual CNN's channels: docs/benchmarks.md."""

from __future__ import annotations

from rendering.markdown import Figures, count, percent, table

_NAMES = {
    "whole": "whole",
    "pruned": "half of the channels pruned, recovered",
    "slim": "the pruned shape from scratch (`--slim`)",
}


def render(figures: Figures) -> str:
    """Return the table of benchmarks/prune.py; accuracy is the int8 file's."""
    rows = []
    for key, name in _NAMES.items():
        mean = {figure: values["mean"] for figure, values in figures[key].items()}
        rows.append((
            name, percent(mean["accuracy"], 2), percent(mean["accuracy_int8"], 2),
            count(mean["macs"]), count(mean["int8_bytes"], "B"), count(mean["arena_bytes"], "B"),
        ))  # fmt: skip
    headings = ("", "accuracy", "as int8", "multiply-accumulates", "int8 file", "arena")
    return table(headings, rows)


def glance(figures: Figures) -> tuple[str, ...]:
    """Return the row of the table at a glance."""
    pruned, whole = (figures[key]["accuracy"]["mean"] for key in ("pruned", "whole"))
    return (
        "half the channels of a residual CNN pruned", percent(pruned, 2),
        f"{percent(whole, 2)} whole",
        f"{figures['macs_times_fewer']:.2f} times fewer multiply-accumulates",
    )  # fmt: skip
