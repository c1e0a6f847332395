"""Rounds and buffers, if some clients are slow: docs/asynchronous.md."""

from __future__ import annotations

from rendering.markdown import DASH, Figures, code, large, spread_of, table


def render(figures: Figures) -> str:
    """Return the table of benchmarks/asynchronous.py."""
    headings = (
        "", "accuracy, last three steps",
        "simulated time to the synchronous accuracy less half a point", "in all", "bytes up",
        "bytes down",
    )  # fmt: skip
    rows = [
        (
            "rounds of 10" if way == "synchronous" else code(way), spread_of(one["accuracies"]),
            _seconds(one["simulated_to_sync_s"]), _seconds(one["simulated_s"]),
            large(one["uplink_bytes"]), large(one["downlink_bytes"]),
        )
        for way, one in figures["ways"].items()
    ]  # fmt: skip
    return table(headings, rows)


def glance(figures: Figures) -> tuple[str, ...]:
    """Return the row of the table at a glance."""
    ways = figures["ways"]
    rounds, ours = (ways[k]["simulated_to_sync_s"] for k in ("synchronous", "buffered(10)"))
    return (
        "one client in five ten times slower, simulated time to within half a point",
        f"{_seconds(ours)} with buffers",
        f"{_seconds(rounds)} with rounds",
        DASH if rounds is None or ours is None else f"{rounds / ours:.1f} times sooner",
    )


def _seconds(value: float | None) -> str:
    return DASH if value is None else f"{value:,.0f} s"
