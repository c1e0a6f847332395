"""Two liars of ten: docs/robustness.md."""

from __future__ import annotations

from rendering.markdown import Figures, code, spread, table


def render(figures: Figures) -> str:
    """Return the table of benchmarks/hostile.py."""
    attacks = figures["accuracy"]
    defences = next(iter(attacks.values()))
    headings = ("the two send", *(", ".join(map(code, name.split("; "))) for name in defences))
    return table(headings, ((name, *map(spread, row.values())) for name, row in attacks.items()))
