"""The tables of the page, as texts; what is unknown is a dash, never 0."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from frugalfl.energy import Electricity
from frugalfl.sizes import size_text
from frugalfl_server.report.texts import carbon, energy, percent
from frugalfl_sim.comparison.comparison import Cell, Comparison
from frugalfl_sim.comparison.estimates import Joules
from frugalfl_sim.comparison.method_figures import branch_precision
from frugalfl_sim.comparison.notes import Notes
from frugalfl_sim.comparison.rows import METHODS, Row
from frugalfl_sim.comparison.terminal_table import gap_text, number, title

Texts = tuple[str, ...]


class Line(NamedTuple):
    """A row of a table.

    Attributes:
        name: Its first cell.
        cells: The others.
        strong: Whether it is the chosen method's.
    """

    name: str
    cells: Texts
    strong: bool = False


def condition_rows(comparison: Comparison, cell: Cell) -> list[Line]:
    """Return the methods of one condition."""
    lines = []
    for key in comparison.methods(cell):
        pooled, own = (
            comparison.average_precision(cell, key, basis) for basis in ("pooled", "own_rows")
        )
        up = comparison.figure(cell, key, lambda row: row.uplink_bytes)
        size = comparison.figure(cell, key, lambda row: row.model_bytes)
        cells = (
            "–" if pooled is None else pooled.text(),
            "–" if own is None else own.text(),
            number(comparison.roc_auc(cell, key)),
            number(comparison.figure(cell, key, lambda row: row.evaluation.alerts.precision)),
            gap_text(comparison, cell, key, "pooled"),
            gap_text(comparison, cell, key, "own_rows"),
            "all rows" if up is None else size_text(up.mean),
            energy(comparison.training(cell, key).sums()),
            "–" if size is None else size_text(size.mean),
        )
        lines.append(Line(METHODS[key].name, cells, key == comparison.chosen))
    return lines


def bytes_rows(comparison: Comparison, cell: Cell) -> list[Line]:
    """Return what federations send, by kind: means over seeds, all branches together."""
    lines = []
    for key in comparison.methods(cell):
        runs = comparison.runs(cell, key)
        for way in ("uplink", "downlink"):
            known = [one for row in runs if (one := getattr(row, way)) is not None]
            if METHODS[key].federated and known:
                kinds = ("model", "bins", "counters", "total")
                sizes = [fmean(getattr(one, kind) for one in known) for kind in kinds]
                rounds = f"{fmean(row.rounds for row in runs):g}"
                name = f"{METHODS[key].name}, {way[:-4]}"
                cells = (rounds, *map(size_text, sizes))
                lines.append(Line(name, cells, key == comparison.chosen))
    return lines


def gain_rows(comparison: Comparison) -> list[Line]:
    """Return what shared counters are worth, by split and method."""
    lines = []
    for split in dict.fromkeys(cell.split for cell in comparison.cells):
        for key, method in METHODS.items():
            gains = [
                comparison.counters_gain(split, key, basis) for basis in ("pooled", "own_rows")
            ]
            if any(gain is not None for gain in gains):
                cells = (split, *("–" if gain is None else _signed(gain.text()) for gain in gains))
                lines.append(Line(method.name, cells, key == comparison.chosen))
    return lines


def subsampling_sentence(comparison: Comparison, cell: Cell) -> str:
    """Say what keeping a part of the negatives does; empty where it was not compared."""
    found = comparison.subsampling(cell)
    if found is None:
        return ""
    share = "an unknown share" if found.energy_share is None else percent(found.energy_share)
    kind = comparison.training(cell, "central").kind
    return (
        f"Training centralised trees on a part of the negatives takes {share} of the {kind} energy "
        f"of all rows, and changes average precision by {_signed(found.gain.text())}."
    )


def branch_rows(comparison: Comparison, cell: Cell) -> list[Line]:
    """Return average precision on each branch's own rows, and how many frauds that rests on."""
    keys = [k for k in ("alone", comparison.chosen, "central") if k in comparison.methods(cell)]
    by_method = [branch_precision(comparison, cell, key) for key in keys]
    lines = []
    runs = comparison.runs(cell, comparison.methods(cell)[0])
    for name in dict.fromkeys(name for row in runs for name in row.evaluation.branches):
        seen = [row.evaluation.branches[name] for row in runs if name in row.evaluation.branches]
        rows = f"{sum(one.rows for one in seen) / len(seen):,.0f}"
        frauds = f"{sum(one.frauds for one in seen) / len(seen):,.0f}"
        values = [found.get(name) for found in by_method]
        cells = ("unknown: one class" if v is None else f"{v:.3f}" for v in values)
        lines.append(Line(name, (rows, frauds, *cells)))
    return lines


def calibration_rows(comparison: Comparison, cell: Cell) -> list[Line]:
    """Return how far probabilities are to be believed: each method pooled, the chosen by branch."""
    lines = [
        _calibration(f"{METHODS[key].name}", comparison.runs(cell, key), None, comparison, key)
        for key in comparison.methods(cell)
    ]
    runs = comparison.runs(cell, comparison.chosen)
    for name in dict.fromkeys(name for row in runs for name in row.evaluation.branches):
        label = f"{METHODS[comparison.chosen].name}, {name}"
        lines.append(_calibration(label, runs, name, comparison, ""))
    return lines


def energy_rows(comparison: Comparison, cell: Cell, grid: Electricity | None) -> list[Line]:
    """Return the joules of training and of use, each measured or estimated, and their CO2e."""
    lines = []
    for key in comparison.methods(cell):
        training = comparison.training(cell, key)
        uses = (
            training,
            comparison.per_thousand_scores(cell, key),
            comparison.per_caught_fraud(cell, key),
        )
        cells = [energy(one.sums()) for one in uses]
        if grid is not None:
            cells.append(_carbon(training, grid))
        lines.append(Line(METHODS[key].name, tuple(cells), key == comparison.chosen))
    return lines


def money_rows(comparison: Comparison, cell: Cell, currency: str) -> list[Line]:
    """Return what checking the cards finds: frauds and their money, means over seeds."""
    lines = []
    for key in comparison.methods(cell):
        alerts = [row.evaluation.alerts for row in comparison.runs(cell, key)]
        n = len(alerts)
        caught, frauds = sum(a.caught for a in alerts) / n, sum(a.frauds for a in alerts) / n
        money, every = (
            sum(a.caught_amount for a in alerts) / n, sum(a.amount for a in alerts) / n
        )  # fmt: skip
        cells = (
            number(comparison.figure(cell, key, lambda row: row.evaluation.alerts.precision)),
            f"{caught:,.0f} of {frauds:,.0f}",
            f"{money:,.0f} of {every:,.0f} {currency}".strip(),
            percent(money / every) if every else "–",
        )
        lines.append(Line(METHODS[key].name, cells, key == comparison.chosen))
    return lines


def left_out_sentence(runs: Sequence[Row]) -> str:
    """Say how many frauds are on cards that were known already."""
    every = sum(row.evaluation.pooled.frauds for row in runs) / len(runs)
    checked = sum(row.evaluation.alerts.frauds for row in runs) / len(runs)
    return (
        f"Of {every:,.0f} frauds in the test rows, {every - checked:,.0f} are on cards on which a "
        "fraud was known already, so they are left out here."
    )


def missing(comparison: Comparison, notes: Notes) -> list[str]:
    """Say what a reader may look for and not find, and what was handled on the way."""
    lines = []
    for cell in comparison.cells:
        if names := comparison.unknown(cell):
            lines.append(
                f"{title(cell)}: average precision is unknown in {', '.join(names)}, whose test "
                "rows are all of one class; means over branches leave them out."
            )
    if len(comparison.seeds) == 1:
        lines.append("One seed only, so no confidence interval is known.")
    lines += [f"{one.branch}: {remark}" for one in notes.preparation for remark in one.remarks]
    if not notes.disclosures:
        lines.append("Nobody recorded what was revealed to whom.")
    return lines


def _calibration(
    label: str, runs: Sequence[Row], branch: str | None, comparison: Comparison, key: str
) -> Line:
    found = [
        row.evaluation.pooled if branch is None else row.evaluation.branches[branch]
        for row in runs
        if branch is None or branch in row.evaluation.branches
    ]
    n = len(found)
    cells = (
        f"{sum(one.brier for one in found) / n:.5f}",
        f"{sum(one.calibration_error for one in found) / n:.5f}",
        f"{100 * sum(one.predicted_rate for one in found) / n:.2f} %",
        f"{100 * sum(one.frauds / one.rows for one in found) / n:.2f} %",
    )
    return Line(label, cells, key == comparison.chosen)


def _carbon(used: Joules, grid: Electricity) -> str:
    return carbon({word: grid.grams(value) for word, value in used.sums().items()})


def _signed(text: str) -> str:
    return text if text.startswith("-") else f"+{text}"
