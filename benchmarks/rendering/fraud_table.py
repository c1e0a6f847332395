"""Card fraud, every method under every condition: docs/benchmarks.md."""

from __future__ import annotations

from typing import Any

from rendering.markdown import DASH, Figures, large, table

_NAMES = {
    "alone": "each branch alone",
    "central": "all rows in one place",
    "central_all": "the same with every negative",
    "bagging": "bagging",
    "refit": "refit",
    "cyclic": "cyclic",
    "histogram": "histogram",
    "mlp": "network",
    "mlp_int8": "the network as int8",
    "central_mlp": "the network, all rows in one place",
}


def render(figures: Figures) -> str:
    """Return the table of benchmarks/fraud_pilot.py: AP on all rows, and on own rows."""
    conditions = figures["conditions"]
    headings = (
        "", *(f"{one['split']}, {one['counters']} counters: AP, own" for one in conditions),
        "bytes up, most", "J",
    )  # fmt: skip
    there = [key for key in _NAMES if any(key in one["average_precision"] for one in conditions)]
    return table(headings, (_row(key, conditions) for key in there))


def glance(figures: Figures) -> tuple[str, ...]:
    """Return the row of the table at a glance."""
    own, gap = figures["average_precision"], figures["gap_closed"]["refit"]["pooled"]
    return (
        "card fraud over eight branches, average precision",
        f"{own['refit']:.3f}, refitted trees, {figures['rounds']['refit']} rounds, "
        f"{large(figures['uplink_bytes']['refit'])} up in all",
        f"{own['alone']:.3f} the mean branch alone, {own['central']:.3f} all rows in one place",
        DASH if gap is None else f"{100 * gap:.0f} % of the gap",
    )


def _row(key: str, conditions: list[dict[str, Any]]) -> tuple[str, ...]:
    there = [one for one in conditions if key in one["average_precision"]]
    pairs = [
        f"{_precision(one['average_precision'].get(key))}, "
        f"{_precision(one['average_precision_own_rows'].get(key))}"
        if one in there
        else ""
        for one in conditions
    ]
    sizes = [size for one in there if (size := one["uplink_bytes"][key]) is not None]
    joules = [value for one in there for value in one["energy_j"][key].values() if value]
    up = large(max(sizes)) if sizes else "none" if key == "alone" else "all rows"
    return (_NAMES[key], *pairs, up, f"{max(joules):.2g}" if joules else DASH)


def _precision(value: float | None) -> str:
    return DASH if value is None else f"{value:.3f}"
