"""What each rule about writing a model is worth: docs/authoring.md."""

from __future__ import annotations

from typing import Any

from rendering.markdown import Figures, code, table


def render(figures: Figures) -> str:
    """Return the table of benchmarks/authoring.py."""
    headings = ("rule", "instead of", "write", "the first adds")
    rows = [
        (code(one["rule"]), code(one["instead_of"]), code(one["write"]), _adds(one))
        for one in figures["rules"]
    ]
    return table(headings, rows)


def _adds(rule: dict[str, Any]) -> str:
    if rule["stops"] is not None or rule["severity"] == "stops":
        return "**the export stops**"
    cost = rule["cost"]
    if not any(cost.values()):
        return "no bytes"
    operators = cost["operators"]
    return (
        f"{operators:+,} operator{'' if abs(operators) == 1 else 's'}, "
        f"{cost['file_bytes']:+,} B of file, {cost['arena_bytes']:+,} B of arena"
    )
