"""The comparison on a terminal: one table for each condition."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from frugalfl.sizes import size_text
from frugalfl_server.report.texts import joules, percent
from frugalfl_sim.comparison.comparison import Cell, Comparison
from frugalfl_sim.comparison.estimates import Estimate, Joules
from frugalfl_sim.comparison.rows import METHODS

#: What the table needs; a pipe has no width of its own.
_WIDTH = 112
_COLUMNS = ("AP", "own AP", "AUC", "CP@100", "gap", "own gap", "bytes up", "energy", "model")


def print_comparison(comparison: Comparison, console: Console | None = None) -> None:
    """Print the tables of all conditions, then what shared counters are worth."""
    if console is None:
        console = Console(highlight=False, width=max(_WIDTH, Console().width))
    for cell in comparison.cells:
        console.print(condition_table(comparison, cell))
        for line in _remarks(comparison, cell):
            console.print(Text(line))
    seeds = ", ".join(map(str, comparison.seeds))
    console.print(
        Text(
            f"AP: average precision on all test rows, mean over seeds {seeds} ± half of the 95 % "
            "confidence interval (Student's t); of branches alone, mean of each one's model on "
            "everybody's rows. Own AP: on each branch's own test rows, mean over branches. Gap: "
            "share of the way from branches alone to centralised trees, on AP and on own AP. "
            "CP@100: of the 100 cards checked a day, the share with a fraud that day. Energy: "
            "training, all branches; ~ is estimated.",
            style="dim",
        )
    )


def condition_table(comparison: Comparison, cell: Cell) -> Table:
    """Return the table of one condition, a method a row."""
    table = Table(
        title=title(cell), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0),
        title_style="bold",
    )  # fmt: skip
    table.add_column("", no_wrap=True)
    for name in _COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for key in comparison.methods(cell):
        style = "bold" if key == comparison.chosen else ""
        cells = [METHODS[key].name, *_cells(comparison, cell, key)]
        table.add_row(*(Text(one) for one in cells), style=style)
    return table


def title(cell: Cell) -> str:
    """Name a condition.

    >>> title(Cell("geography", "shared"))
    'geography split, shared counters'
    """
    return f"{cell.split} split, {cell.counters} counters"


def number(value: Estimate | None, digits: int = 3) -> str:
    """Return a mean without its interval; a dash where it is unknown."""
    return "–" if value is None else f"{value.mean:.{digits}f}"


def gap_text(comparison: Comparison, cell: Cell, key: str, basis: str) -> str:
    """Return the share of the gap that a federation closes; a dash where there is none."""
    if not METHODS[key].federated:
        return ""
    gap = comparison.gap(cell, key, basis)
    return "–" if gap is None or gap.closed is None else f"{gap.closed * 100:.0f} %"


def short_joules(value: Joules) -> str:
    """Return joules for a narrow column; a tilde where any of them is estimated."""
    mark = "~" if value.estimated is not None else ""
    return f"{mark}{joules(value.both)}"


def _cells(comparison: Comparison, cell: Cell, key: str) -> list[str]:
    pooled = comparison.average_precision(cell, key)
    size = comparison.figure(cell, key, lambda row: row.model_bytes)
    up = comparison.figure(cell, key, lambda row: row.uplink_bytes)
    return [
        "–" if pooled is None else pooled.text(),
        number(comparison.average_precision(cell, key, "own_rows")),
        number(comparison.roc_auc(cell, key)),
        number(comparison.figure(cell, key, lambda row: row.evaluation.alerts.precision)),
        gap_text(comparison, cell, key, "pooled"),
        gap_text(comparison, cell, key, "own_rows"),
        "all rows" if up is None else size_text(up.mean),
        short_joules(comparison.training(cell, key)),
        "–" if size is None else size_text(size.mean),
    ]


def _remarks(comparison: Comparison, cell: Cell) -> list[str]:
    lines = []
    if names := comparison.unknown(cell):
        lines.append(
            f"Average precision unknown in {', '.join(names)}: all test rows are of one class."
        )
    if (sub := comparison.subsampling(cell)) is not None:
        share = "an unknown share" if sub.energy_share is None else percent(sub.energy_share)
        lines.append(
            f"Negative subsampling: {share} of the training energy, AP {sub.gain.mean:+.3f}."
        )
    gain = comparison.counters_gain(cell.split, comparison.chosen, "pooled")
    if cell.counters == "shared" and gain is not None:
        name = METHODS[comparison.chosen].name
        lines.append(f"Shared counters: AP {gain.mean:+.3f} for {name}, against local ones.")
    return lines
