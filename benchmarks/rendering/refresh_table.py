"""What refresh plans cost and save: docs/refresh.md."""

from __future__ import annotations

from rendering.markdown import Figures, code, percent, spread_of, table


def render(figures: Figures) -> str:
    """Return the table of benchmarks/refresh.py."""
    plans = figures["plans"]
    full = plans["full"]["train_cpu_s"]
    rows = [
        (
            code(plan), spread_of(one["accuracies"]), f"{one['uplink_bytes'] / 1e3:,.0f} kB",
            f"{one['downlink_bytes'] / 1e3:,.0f} kB",
            f"{one['train_cpu_s']:.1f} s ({percent(one['train_cpu_s'] / full, 0)})",
            f"{one['train_energy_estimated_j']:.0f} J", f"{one['energy_estimated_j']:.0f} J",
        )
        for plan, one in plans.items()
    ]  # fmt: skip
    headings = (
        "plan", "accuracy", "up", "down", "training, processor time", "joules of training",
        "of all phases",
    )  # fmt: skip
    return table(headings, rows)
