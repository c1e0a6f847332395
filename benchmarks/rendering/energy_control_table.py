"""What each option that controls energy does: docs/energy.md."""

from __future__ import annotations

from typing import Any

from rendering.markdown import DASH, Figures, percent, table

#: Fleets whose setting is too long for a cell, or not plain enough.
_FLEETS = {"raspberry-pi-4b on wifi": "40 Pi 4 on Wi-Fi"}


def render(figures: Figures) -> str:
    """Return the table of benchmarks/energy_control.py."""
    headings = (
        "fleet, option", "rounds", "J to 95 % (seeds that got there)", "J in all", "accuracy",
        "skipped", "lost",
    )  # fmt: skip
    rows = [
        _row(f"{_FLEETS.get(fleet, 'mixed fleet')}, {name}", one)
        for fleet, options in figures["fleets"].items()
        for name, one in options.items()
    ]
    return table(headings, rows)


def _row(name: str, one: dict[str, Any]) -> tuple[str, ...]:
    target = one["energy_to_target_estimated_j"]
    reached = DASH if target is None else f"{target:,.1f}"
    return (
        name, f"{one['rounds']:.3g}", f"{reached} ({one['reached']})",
        f"{one['energy_estimated_j']:,.1f}", percent(one["accuracy"]), f"{one['skipped']:.0f}",
        f"{one['lost']:.0f}",
    )  # fmt: skip
