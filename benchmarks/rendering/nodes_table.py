"""What a node costs, and what is installed: docs/benchmarks.md."""

from __future__ import annotations

from rendering.markdown import DASH, Figures, count, table


def render(figures: Figures) -> str:
    """Return the first table of benchmarks/fleet.py."""
    rows = [
        (one["figure"], one["unit"], _value(one["lean"]), _value(one["stock"]))
        for one in figures["rows"]
    ]
    return table(("", "", "`frugalfl node`", "`flower-supernode`"), rows)


def render_installed(figures: Figures) -> str:
    """Return the table of benchmarks/installed.py."""
    rows = [
        (f"`{one['extras']}`", count(one["megabytes"]), one["packages"])
        for one in figures["environments"]
    ]
    return table(("extras", "MB", "packages"), rows)


def _value(number: float | None) -> str:
    if number is None:
        return DASH
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
