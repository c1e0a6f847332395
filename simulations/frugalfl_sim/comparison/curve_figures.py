"""Curves of single runs: precision over recall, and observed over predicted shares of fraud."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from frugalfl_server.report.svg import GRID, INK, MUTED, draw
from frugalfl_server.report.texts import percent
from frugalfl_server.report.ticks import only_grid
from frugalfl_sim.comparison.comparison import Cell, Comparison
from frugalfl_sim.comparison.method_style import ROOMY_PX, STYLES, key, key_height, method_handles
from frugalfl_sim.comparison.rows import METHODS, Row

#: More lines than these hide each other; the tables have every method.
_DRAWN = ("alone", "central", "refit", "histogram", "mlp", "mlp_int8")
_LOWEST = 1e-4


def curve_runs(comparison: Comparison, cell: Cell) -> dict[str, Row]:
    """Return the run with the first seed of each method that is drawn."""
    return {
        method: comparison.runs(cell, method)[0]
        for method in comparison.methods(cell)
        if method in _DRAWN
    }


def precision_recall_figure(comparison: Comparison, cell: Cell, width: int) -> str:
    """Draw precision over recall of all test rows."""
    runs = {
        method: row
        for method, row in curve_runs(comparison, cell).items()
        if row.evaluation.precision_recall
    }

    def paint(axes: Axes) -> None:
        for method, row in runs.items():
            recall, precision = zip(*row.evaluation.precision_recall, strict=True)
            axes.plot(recall, precision, **_line(comparison, method))
        axes.set(xlim=(0, 1), ylim=(0, 1.02))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda share, _: f"{share * 100:.0f} %"))
        axes.set_xlabel("recall: share of all frauds found", labelpad=8)
        only_grid(axes)
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        key(axes, method_handles(runs, lines=True), _columns(width))

    top = key_height(len(runs), _columns(width))
    areas = [(METHODS[m].name, row.evaluation.pooled.average_precision) for m, row in runs.items()]
    label = "Precision over recall; average precision: " + "; ".join(
        f"{name} {value:.3f}" for name, value in areas if value is not None
    )
    return draw(f"recall-{width}", (width, 330 + top), label, paint, (54, 26, top, 50))


def reliability_figure(comparison: Comparison, cell: Cell, width: int) -> str:
    """Draw observed over predicted shares of fraud, both on log scales."""
    runs = curve_runs(comparison, cell)

    def paint(axes: Axes) -> None:
        axes.plot([_LOWEST, 1], [_LOWEST, 1], color=INK, linestyle=(0, (5, 4)), linewidth=1.2)
        axes.annotate(
            "calibrated", (0.0004, 0.0004), xytext=(-6, 4), textcoords="offset points", ha="center",
            va="bottom", color=MUTED,
        )  # fmt: skip
        for method, row in runs.items():
            points = [one for one in row.evaluation.reliability if min(one) >= _LOWEST]
            if points:
                predicted, observed = zip(*points, strict=True)
                axes.plot(
                    predicted, observed, marker="o", markersize=4, **_line(comparison, method)
                )
        axes.set(xscale="log", yscale="log", xlim=(_LOWEST, 1), ylim=(_LOWEST, 1.2))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(FixedLocator([1e-4, 1e-3, 1e-2, 1e-1, 1]))
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(FuncFormatter(lambda share, _: f"{share * 100:g} %"))
        axes.set_xlabel("predicted share of fraud (log scale)", labelpad=8)
        only_grid(axes)
        key(axes, method_handles(runs, lines=True), _columns(width))

    top = key_height(len(runs), _columns(width))
    label = "Observed over predicted shares of fraud. " + "; ".join(
        f"{METHODS[m].name}: {percent(row.evaluation.pooled.predicted_rate)} predicted, "
        f"{percent(row.evaluation.pooled.frauds / row.evaluation.pooled.rows)} observed"
        for m, row in runs.items()
    )
    return draw(f"reliability-{width}", (width, 330 + top), label, paint, (60, 24, top, 50))


def _columns(width: int) -> int:
    return 4 if width > ROOMY_PX else 2


def _line(comparison: Comparison, method: str) -> dict[str, Any]:
    chosen = method == comparison.chosen
    return {
        "color": STYLES[method][0],
        "linewidth": 2.6 if chosen else 1.6,
        "zorder": 4 if chosen else 3,
        "linestyle": (0, (3, 2)) if method in ("alone", "mlp_int8") else "-",
    }
