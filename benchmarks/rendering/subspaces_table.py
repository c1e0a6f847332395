"""Subspaces beside float32 and the full plan, in few numbers: docs/refresh.md."""

from __future__ import annotations

from typing import Any

from rendering.markdown import DASH, Figures, count, table

_HEADINGS = (
    "task, clients a round", "", "bytes to the target", "bytes of the whole run", "final accuracy",
    "an update", "a download", "joules to the target, *estimated*",
)  # fmt: skip


def render(figures: Figures) -> str:
    """Return a row of each task, cohort and scheme of benchmarks/communication.py's summary."""
    texts = {cell["scheme"]: cell["text"] for cell in figures["cells"]}
    return table(_HEADINGS, (_row(one, texts[one["scheme"]]) for one in figures["summary"]))


def _row(one: dict[str, Any], text: str) -> tuple[str, ...]:
    joules = one["estimated_joules_to_target_over_full_plan"]
    return (
        f"{one['task']}, {one['cohort']}",
        text,
        _fewer(one["times_fewer_to_target"]),
        _fewer(one["times_fewer_whole_run"]),
        f"{-one['accuracy_gap_points']:+.1f} points",
        count(one["uplink_bytes_per_update"], "B"),
        count(one["downlink_bytes_per_client_round"], "B"),
        DASH if joules is None else f"{joules:.2f} times the full plan's",
    )


def _fewer(times: float | None) -> str:
    return "not on all seeds" if times is None else f"{times:,.0f} times fewer"
