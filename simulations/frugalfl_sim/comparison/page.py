"""One self-contained HTML page about a comparison, in the look of FrugalFL's run reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import frugalfl_server.report as run_report
from frugalfl.atomic import write_atomically
from frugalfl.sizes import size_text
from frugalfl_server.report.html import shown
from frugalfl_sim.comparison import report_tables as tables
from frugalfl_sim.comparison.comparison import BASES, Cell, Comparison
from frugalfl_sim.comparison.curve_figures import precision_recall_figure, reliability_figure
from frugalfl_sim.comparison.first_numbers import headlines, statement
from frugalfl_sim.comparison.method_figures import (
    branches_figure,
    bytes_figure,
    has_joules,
    joules_figure,
    methods_figure,
)
from frugalfl_sim.comparison.notes import Notes
from frugalfl_sim.comparison.rows import METHODS
from frugalfl_sim.comparison.terminal_table import title

_TEMPLATE = "comparison.html.j2"
#: The widths that the style sheet of run reports shows: a wide page's, and a phone's (px).
_WIDTHS = {"wide": 920, "narrow": 350}


def write_page(comparison: Comparison, notes: Notes, path: Path) -> Path:
    """Write the page, which needs no other file and no network.

    Args:
        comparison: What the pilot found.
        notes: What it knows beside that.
        path: Where the page goes; a page that is there is replaced.

    Returns:
        ``path``.
    """
    text = page(comparison, notes)
    write_atomically(path, text.encode(), shared=True)
    return path


def page(comparison: Comparison, notes: Notes) -> str:
    """Return the whole page as HTML; everything in it that came from outside is escaped."""
    folders = [Path(__file__).parent, Path(run_report.__file__).parent]
    environment = Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        finalize=shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["size"] = size_text
    return environment.get_template(_TEMPLATE).render(_content(comparison, notes))


def _content(comparison: Comparison, notes: Notes) -> Mapping[str, Any]:
    cell = comparison.headline
    runs = comparison.runs(cell, comparison.methods(cell)[0])
    return {
        "notes": notes,
        "seeds": comparison.seeds,
        "statement": statement(comparison),
        "missing": tables.missing(comparison, notes),
        "headlines": headlines(comparison, notes),
        "headline": title(cell),
        "bases": BASES,
        "methods": METHODS,
        "figures": _figures(comparison, cell),
        "splits": list(dict.fromkeys(one.split for one in comparison.cells)),
        "conditions": [
            (title(one), tables.condition_rows(comparison, one)) for one in _ordered(comparison)
        ],
        "gains": tables.gain_rows(comparison),
        "subsampling": tables.subsampling_sentence(comparison, cell),
        "bytes": tables.bytes_rows(comparison, cell),
        "branches": tables.branch_rows(comparison, cell),
        "calibration": tables.calibration_rows(comparison, cell),
        "energy": tables.energy_rows(comparison, cell, notes.grid),
        "money": tables.money_rows(comparison, cell, notes.currency),
        "cards_a_day": runs[0].evaluation.alerts.cards_a_day,
        "left_out": tables.left_out_sentence(runs),
        "counted": list(dict.fromkeys(name for one in notes.preparation for name in one.counts)),
    }


def _ordered(comparison: Comparison) -> list[Cell]:
    """Return the conditions, the headline's first."""
    first = comparison.headline
    return [first, *(cell for cell in comparison.cells if cell != first)]


def _figures(comparison: Comparison, cell: Cell) -> dict[str, dict[str, Markup]]:
    """Draw each figure twice: for a wide page and for a phone."""
    painters: dict[str, Callable[[int], str]] = {}
    splits = dict.fromkeys(one.split for one in comparison.cells)
    for number, split in enumerate(splits):
        name = f"methods-{number}"
        painters[name] = lambda w, s=split, n=name: methods_figure(comparison, s, n, w)  # type: ignore[misc]
    painters |= {
        "recall": lambda width: precision_recall_figure(comparison, cell, width),
        "reliability": lambda width: reliability_figure(comparison, cell, width),
        "branches": lambda width: branches_figure(comparison, cell, width),
    }
    if has_joules(comparison, cell):
        painters["joules"] = lambda width: joules_figure(comparison, cell, width)
    if any(METHODS[one].federated for one in comparison.methods(cell)):
        painters["bytes"] = lambda width: bytes_figure(comparison, cell, width)
    return {
        name: {kind: Markup(paint(width)) for kind, width in _WIDTHS.items()}
        for name, paint in painters.items()
    }
