"""Int8 files beside TensorFlow's, and other people's nets: docs/export-benchmark.md, export.md."""

from __future__ import annotations

from typing import Any

from rendering.markdown import DASH, Figures, count, percent, table

_PATHS = ("ours", "tf best", "tf")


def render(figures: Figures) -> str:
    """Return the table of benchmarks/export.py; paths that were not run are dashes."""
    headings = (
        "net (parameters)", *(f"file, B: {path}" for path in _PATHS),
        *(f"arena, B: {path}" for path in _PATHS), "float", f"int8 score: {' / '.join(_PATHS)}",
        "SQNR, dB", "s",
    )  # fmt: skip
    return table(headings, (_row(name, one) for name, one in figures["nets"].items()))


def glance(figures: Figures) -> tuple[str, ...]:
    """Return the row of the table at a glance."""
    nets = figures["nets"].values()
    sizes = [one["ours"]["file_bytes"] for one in nets]
    ratios = [one["tf"]["file_bytes"] / one["ours"]["file_bytes"] for one in nets if "tf" in one]
    return (
        f"int8 file of {len(sizes)} small nets",
        f"{min(sizes) / 1e3:.1f} to {max(sizes) / 1e3:.0f} kB",
        "TensorFlow's converter, same weights",
        f"{min(ratios):.1f} to {max(ratios):.1f} times smaller" if ratios else DASH,
    )


def render_foreign(figures: Figures) -> str:
    """Return the table of benchmarks/foreign_nets.py."""
    headings = ("net", "parameters", "float", "int8", "SNR (dB)", "file (B)", "arena (B)")
    return table(headings, map(_foreign, figures["nets"]))


def _foreign(one: dict[str, Any]) -> tuple[str, ...]:
    if one["refused"] is not None:
        refused = f"refused after {one['rounds']} rounds: {one['refused']}"
        return one["net"], refused, "", "", "", "", ""
    return (
        one["net"], count(one["parameters"]), percent(one["accuracy"]),
        percent(one["accuracy_int8"]), f"{one['sqnr_db']:.1f}", count(one["file_bytes"]),
        count(one["arena_bytes"]),
    )  # fmt: skip


def _row(name: str, one: dict[str, Any]) -> tuple[str, ...]:
    def of(path: str, key: str, form: str) -> str:
        value = one.get(path, {}).get(key)
        return DASH if value is None else format(value, form)

    return (
        f"{name} ({count(one['parameters'])})",
        *(of(path, "file_bytes", ",") for path in _PATHS),
        *(of(path, "arena_bytes", ",") for path in _PATHS),
        f"{one['score_float']:.4f}",
        *(
            " / ".join(of(path, key, form) for path in _PATHS)
            for key, form in (("score", ".4f"), ("sqnr_db", ".1f"), ("cpu_s", ".1f"))
        ),
    )
