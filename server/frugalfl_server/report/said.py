"""Words and tables about what the final model said of the public rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from frugalfl.metrics import number
from frugalfl_server.report.final_outcomes import Outcomes
from frugalfl_server.report.run_facts import Facts
from frugalfl_server.report.sheet import Cell, Sheet

#: The longest table of classes; its CSV has them all.
_MOST_ROWS = 100
#: Titles of the tables; empty: what its rows are.
_TITLES = {"classes": "", "errors": "Errors", "outputs": ""}


def outcomes_caption(facts: Facts) -> str:
    """Say what the drawings of a final model's answers show."""
    said = facts.outcomes
    if said is None:
        return ""
    model = "the final model" + (", pruned and recovered," if facts.recovered else "")
    return f"{_meaning(said)} Of {model} on {said.rows:,} public test rows.{_beyond(said)}"


def _meaning(said: Outcomes) -> str:
    if said.matrices:
        return (
            "A row of cells is what is true, a column what the model said; blue is right, orange "
            f"is wrong, and darker is a larger share of the true class’s {said.counted}."
        )
    if said.joint:
        return (
            "Squares hold pairs of true and predicted values, darker if more; on the dashed line "
            "they are the same. Residuals are predicted minus true."
        )
    return "How many rows the model rebuilds with which mean squared error."


def _beyond(said: Outcomes) -> str:
    if said.beyond <= 0:
        return ""
    what = "rows lie" if said.errors else "pairs lie"
    return f" {said.beyond:,} of {said.values:,} {what} beyond the axes."


def outcome_tables(sheets: Mapping[str, Sheet]) -> list[tuple[str, str, list[list[str]]]]:
    """Return title, name and shown rows of each table about what the final model said."""
    return [
        (title or f"By {sheets[name].header[0]}", name, _show(sheets[name].rows))
        for name, title in _TITLES.items()
        if name in sheets
    ]


def _show(rows: Sequence[Sequence[Cell]]) -> list[list[str]]:
    if len(rows) > _MOST_ROWS:
        rows = [*rows[: _MOST_ROWS - 1], rows[-1]]
    return [[cell_text(cell) for cell in row] for row in rows]


def cell_text(cell: Cell) -> str:
    """Return a plain value for people."""
    if cell is None:
        return "–"
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int):
        return f"{cell:,}"
    small = 0 < abs(cell) < 0.1  # three decimals would say little of it
    return (f"{cell:.3g}" if small else number(cell)).replace("-", "−")
