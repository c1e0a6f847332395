"""The compiled core beside its Python reference and beside Flower: docs/native.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rendering.markdown import DASH, Figures, code, count, large, table


def render(figures: Figures) -> str:
    """Return the tables of benchmarks/native.py."""
    parts = figures["parts"]
    tables = [_frames(parts), _sums(parts["sums"])]
    if figures["core_bytes"]:
        tables.append(_sizes(figures))
    return "\n\n".join(tables)


def glance(figures: Figures) -> tuple[str, ...]:
    """Return the row at a glance."""
    return (
        "a frame of the demo's CNN, decoded",
        f"{figures['decode_us']:,.0f} µs",
        f"{figures['parts']['frames']['uplink']['decode_us_python']:,.0f} µs (Python)",
        f"{figures['speedup_over_python']:.1f} times or more",
    )


def _frames(parts: Mapping[str, Any]) -> str:
    rows = [
        *_rows("38,282 parameters", parts["frames"]),
        *_rows("1,024 coordinates", parts["small"]),
        *_rows("994,570 parameters", {"": parts["million"]}),
    ]
    return table(("a whole frame", "codec", "bytes", "encode", "decode"), rows)


def _rows(what: str, ways: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    return [
        (
            f"{what}, {way}" if way else what,
            code(row["codec"]),
            count(row["bytes"], "B"),
            _time(row, "encode"),
            _time(row, "decode"),
        )
        for way, row in ways.items()
    ]


def _time(row: Mapping[str, Any], way: str) -> str:
    us, times = row[f"{way}_us"], row[f"{way}_times_faster"]
    return f"{us:,.0f} µs, {times:.1f} times faster than Python"


def _sums(found: Mapping[str, Any]) -> str:
    rows = [
        (
            code(text),
            large(row["bytes_per_update"]),
            f"{1e3 * row['sum']['cpu_s']:,.1f} ms",
            _ratio(row["times_faster"]),
            _ratio(row["strategy_times_faster"]),
            _ratio(row["python_times_faster"]),
        )
        for text, row in found.items()
        if isinstance(row, dict) and "kind" in row
    ]
    headings = ("codec", "a frame", "sum", "than Flower", "whole strategy", "Python's sum")
    flower = (
        f"Flower's FedAvg on the same as dense arrays: {1e3 * found['flower']['cpu_s']:,.0f} ms."
    )
    return f"{table(headings, rows)}\n\n{found['updates']} updates. {flower}"


def _ratio(times: float) -> str:
    return f"{times:.1f} times faster" if times >= 1 else f"{1 / times:.1f} times slower"


def _sizes(figures: Figures) -> str:
    rows = [(name, count(size, "B")) for name, size in figures["core_bytes"].items()]
    rows += [(name, large(size)) for name, size in (figures["wheels"] or {}).items()]
    return table(("built", "size"), rows or [(DASH, DASH)])
