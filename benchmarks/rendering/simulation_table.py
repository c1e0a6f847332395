"""Simulated federations beside other simulators: docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rendering.markdown import DASH, Figures, count, percent, table

_PARTS = ("engines", "engines_large")
#: What the engine alone is held against, at a glance.
_STOCK = "flower-ray"


def render(figures: Figures) -> str:
    """Return the tables of benchmarks/simulation.py."""
    parts = figures["parts"]
    found = [_peers(parts), _notes(parts), _whole(figures), _costs(parts), _growth(parts)]
    return "\n\n".join(text for text in found if text)


def glance(figures: Figures) -> tuple[str, ...]:
    """Return the row at a glance."""
    rows = figures["parts"]["engines"]
    ours, stock = rows["frugalfl"]["updates_per_s"], rows[_STOCK]["updates_per_s"]
    return (
        "client-updates of a simulated MLP, the engine alone",
        f"{count(ours)} a second",
        f"{count(stock)} a second, Flower on Ray",
        f"{ours / stock:,.0f} times more",
    )


def _peers(parts: Mapping[str, Any]) -> str:
    small, large = (parts.get(part, {}) for part in _PARTS)
    if not small and not large:
        return ""
    rows = [_peer(small.get(name, {}), large.get(name, {})) for name in small or large]
    headings = ("", "version", "100 clients, 20 a round", "1,000 clients, 100 a round", "accuracy")
    return table(headings, rows)


def _peer(small: Mapping[str, Any], large: Mapping[str, Any]) -> tuple[str, ...]:
    known = small if "updates_per_s" in small else large
    return (
        (small or large)["title"],
        known.get("version", DASH).partition("+")[0],
        _speed(small),
        _speed(large),
        percent(known.get("accuracy")),
    )


def _speed(row: Mapping[str, Any]) -> str:
    if "updates_per_s" not in row:
        return DASH
    return f"{count(row['updates_per_s'])} ({row['way']})"


def _notes(parts: Mapping[str, Any]) -> str:
    """Say why a figure is missing, and what a peer needed, a line each."""
    lines: dict[str, None] = {}
    for part in _PARTS:
        for row in parts.get(part, {}).values():
            told = [row.get("note"), _installed(row.get("installed")), row.get("why_not")]
            for text in filter(None, told):
                lines[f"- {row['title']}: {text}."] = None
    return "\n".join(lines)


def _installed(about: Mapping[str, float] | None) -> str | None:
    if about is None:
        return None
    return f"{about['megabytes']:,.0f} MB on disk, installed in {about['seconds']:.0f} s"


def _whole(figures: Figures) -> str:
    parts, faster = figures["parts"], figures["cnn_times_faster_than_loop"]
    rows = [
        ("100 clients, 20 a round, everything on", _rate(parts, "engines")),
        ("1,000 clients, 100 a round", _rate(parts, "engines_large")),
        ("digits CNN, 100 a round, the engine beside the plain loop", _times(faster)),
        ("10,000 clients, 500 a round, 100 rounds, prompt to end", _large(figures)),
        ("prompt to the first round's line, the demo", _seconds(figures["first_round_s"])),
        ("the demo's 80 rounds", _seconds(figures["demo_rounds_s"])),
        ("same seeds, one and two threads", _same(parts.get("threads", {}))),
        ("a killed sweep, begun again", _swept(parts.get("sweep", {}))),
    ]
    return table(("the whole, `frugalfl simulate`", ""), rows)


def _rate(parts: Mapping[str, Any], part: str) -> str:
    found = parts.get("codec", {})
    row = found.get(part, {})
    if "updates_per_s" not in row:
        return _why(found)
    return f"{count(row['updates_per_s'])} client-updates a second"


def _why(row: Mapping[str, Any]) -> str:
    return f"{DASH} ({row['why_not']})" if "why_not" in row else DASH


def _times(ratio: float | None) -> str:
    return DASH if ratio is None else f"{ratio:.1f} times faster"


def _seconds(seconds: float | None) -> str:
    return DASH if seconds is None else f"{seconds:.1f} s"


def _large(figures: Figures) -> str:
    if figures["ten_thousand_s"] is None:
        return _why(figures["parts"].get("ten_thousand", {}))
    return f"{_seconds(figures['ten_thousand_s'])}, {count(figures['ten_thousand_mb'])} MB at most"


def _same(row: Mapping[str, Any]) -> str:
    if "same_model" not in row:
        return _why(row)
    return "same bytes" if row["same_model"] and row["same_bytes"] else "**other bytes**"


def _swept(row: Mapping[str, Any]) -> str:
    if "resumed" not in row:
        return _why(row)
    if not row["resumed"]:
        return "**does not go on**"
    return f"goes on: {row['kept']} of {row['runs']} runs were kept"


def _costs(parts: Mapping[str, Any]) -> str:
    row, step = parts.get("costs", {}), _step_us(parts)
    if "message_us" not in row:
        return ""
    rows = [
        ("a message there and back", _us(row["message_us"])),
        ("a frame, encoded and decoded", _us(row["frame_us"])),
        (f"{row['records']} energy records, packed and read", _us(row["record_us"])),
        ("a training step", _us(step)),
    ]
    return table(("for one client-update, both ends", "processor time"), rows)


def _step_us(parts: Mapping[str, Any]) -> float | None:
    """Return a step's share of the engine's round: each client takes two (µs)."""
    speed = parts.get("engines", {}).get("frugalfl", {}).get("updates_per_s")
    return None if speed is None else 1e6 / speed / 2


def _us(value: float | None) -> str:
    return DASH if value is None else f"{value:,.0f} µs"


def _growth(parts: Mapping[str, Any]) -> str:
    found = parts.get("growth", {})
    if "by_cohort" not in found:
        return ""
    points = [*found["by_cohort"], *found["by_clients"]]
    rows = [
        (
            count(point["clients"]), count(point["cohort"]), f"{point['round_ms']:.3g} ms",
            _us(point["us_per_update"]),
        )
        for point in points
    ]  # fmt: skip
    return table(("clients", "a round", "a round takes", "for each update"), rows)
