"""Bytes of both ways until an accuracy, beside other frameworks' schemes: docs/benchmarks.md."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from rendering.markdown import Figures, large, spread_of, table


def render(figures: Figures) -> str:
    """Return the rows of digits with ten clients a round of benchmarks/communication.py."""
    cells = [c for c in figures["cells"] if (c["task"], c["cohort"]) == ("digits", 10)]
    (float32,) = (c for c in cells if c["scheme"] == "float32")
    headings = ("", "rounds", "bytes", "", "an upload", "a download", "final accuracy")
    return table(headings, (_row(one, float32["first"]["mean_bytes"]) for one in cells))


def _row(cell: dict[str, Any], float32_bytes: float | None) -> tuple[str, ...]:
    rounds, sent = cell["first"]["rounds"], cell["first"]["mean_bytes"]
    reached = [number for number in rounds if number is not None]
    some = len(reached) < len(rounds)
    return (
        cell["text"],
        f"{len(reached)} seeds of {len(rounds)}" if some else f"{fmean(reached):.3g}",
        "" if sent is None else large(sent),
        "" if sent is None or float32_bytes is None else f"{float32_bytes / sent:.1f}",
        large(cell["up_bytes_per_update"]),
        large(cell["down_bytes_per_client"]),
        spread_of(cell["accuracy"]),
    )
