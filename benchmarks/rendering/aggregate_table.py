"""The mean of 200 compressed updates: docs/benchmarks.md."""

from __future__ import annotations

from typing import Any

from rendering.markdown import Figures, code, count, table


def render(figures: Figures) -> str:
    """Return the table of benchmarks/aggregate.py."""
    headings = ("codec", "a frame", "sum", "", "whole strategy", "memory")
    rows = [_row(text, row) for text, row in figures["codecs"].items() if "sum" in row]
    ours = table(headings, rows)
    flower = figures["flower"]["cpu_s"]
    return f"{ours}\n\nFlower's FedAvg on the same updates as dense arrays: {_time(flower)}."


def glance(figures: Figures) -> tuple[str, ...]:
    """Return the row of the table at a glance."""
    text = "feedback | topk(0.1%) | sign | golomb"
    ours = figures["codecs"][text]["sum"]
    return (
        f"{figures['updates']} sparse updates of a million parameters added up",
        _time(ours["cpu_s"]),
        f"{_time(figures['flower']['cpu_s'])}, Flower's FedAvg on dense arrays",
        f"{ours['times_faster']:.0f} times faster",
    )


def _row(text: str, row: dict[str, Any]) -> tuple[str, ...]:
    peak, allowed = row["sum"]["peak_bytes"] / 1e6, row["allowed_peak_bytes"] / 1e6
    return (
        code(text), count(row["bytes_per_update"], "B"), _time(row["sum"]["cpu_s"]),
        _faster(row["sum"]["times_faster"]), _faster(row["strategy"]["times_faster"]),
        f"{peak:.1f} of {allowed:.1f} MB",
    )  # fmt: skip


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


def _faster(times: float) -> str:
    return f"{times:.1f} times faster" if times >= 1 else f"{1 / times:.1f} times slower"
