"""Frames of codecs on real updates: docs/benchmarks.md."""

from __future__ import annotations

from typing import Any

from rendering.markdown import Figures, code, count, table

_FAMILIES = {
    "raw": "exact", "zstd": "exact", "float16": "rounded", "qsgd": "unbiased", "eden": "unbiased",
    "stochastic": "unbiased",
}  # fmt: skip


def render(figures: Figures) -> str:
    """Return the table of benchmarks/codec.py: bytes, and squared error if it is not noise."""
    cnn, mlp = figures["cnn_38k_client"], figures["mlp_1m_client"]
    rows = [
        (_name(text), _family(text), _cell(text, cnn[text]), _cell(text, mlp[text])) for text in cnn
    ]
    raw = (f"{model}, {count(4 * parameters, 'B')}" for model, parameters in
           (("CNN", 38_282), ("MLP", 994_570)))  # fmt: skip
    return table(("codec", "family", *raw), rows)


def glance(figures: Figures) -> tuple[str, ...]:
    """Return the row of the table at a glance."""
    text = "stochastic(24 sigma) | range"
    one, raw = (figures["mlp_1m_client"][name]["bytes"] for name in (text, "raw"))
    return (
        f"a real update of a million parameters, {code(text)}", count(one, "B"),
        f"{count(raw, 'B')} in float32", f"{raw / one:,.0f} times fewer",
    )  # fmt: skip


def _name(text: str) -> str:
    return text.removeprefix("peer: ") if text.startswith("peer: ") else code(text)


def _family(text: str) -> str:
    if text.startswith("peer: "):
        return ""
    return _FAMILIES.get(text.split(" ")[0].split("(")[0], "biased")


def _cell(text: str, row: dict[str, Any]) -> str:
    size = count(row["bytes"], "B")
    if _family(text) in ("exact", "unbiased") or row["nmse"] < 0.001:
        return size
    return f"{size}, error {row['nmse']:.3f}"
