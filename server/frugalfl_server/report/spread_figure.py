"""How far the final model's values are from what is true: predicted against true, and errors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch, StepPatch
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator

from frugalfl.metrics import number
from frugalfl_server.report.final_outcomes import STAGE_NAMES, Counts, Outcomes
from frugalfl_server.report.panels import Panel, panel
from frugalfl_server.report.svg import GRID, INK, MUTED, OTHER, OURS
from frugalfl_server.report.ticks import only_grid
from frugalfl_server.run.outcomes import FLOAT

_SHADES = 8
_COLOURS = {FLOAT: OURS}


def spread_panels(outcomes: Outcomes) -> list[Panel]:
    """Draw what the run keeps of values: predicted against true, residuals, or errors of rows."""
    panels = [_against(outcomes, stage, table) for stage, table in outcomes.joint.items()]
    if outcomes.residuals:
        panels.append(_residuals(outcomes))
    if outcomes.errors:
        panels.append(_errors(outcomes))
    return panels


def with_unit(what: str, outcomes: Outcomes) -> str:
    """Return an axis's name with the targets' unit, if the task says it."""
    return f"{what} ({outcomes.unit})" if outcomes.unit else what


def _against(outcomes: Outcomes, stage: str, table: Counts) -> Panel:
    edges = outcomes.edges

    def paint(axes: Axes) -> None:
        ends, dashed = [edges[0], edges[-1]], (0, (5, 4))
        axes.plot(ends, ends, color=MUTED, linewidth=1.2, linestyle=dashed, zorder=2)
        _cells(axes, table, edges)
        axes.set(xlim=(edges[0], edges[-1]), ylim=(edges[0], edges[-1]))
        axes.set_xlabel(with_unit("true value", outcomes), labelpad=6)
        axes.set_ylabel(with_unit("predicted value", outcomes), labelpad=6)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.yaxis.set_major_locator(MaxNLocator(6))
        axes.grid(color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)

    figures = outcomes.figures[stage]
    title = f"{STAGE_NAMES[stage]}: R² {number(figures['r2'])}, RMSE {number(figures['rmse'])}"
    label = f"Predicted against true values, {title}"
    return panel(f"against-{stage}", title, label, paint, 400, (72, 16, 34, 50))


def _cells(axes: Axes, table: Counts, edges: Sequence[float]) -> None:
    """Fill cells darker with more rows; those of a shade are one path."""
    most = np.sqrt(table.max() or 1)
    groups: dict[int, list[Path]] = defaultdict(list)
    for row, column in np.argwhere(table):
        shade = int(np.ceil(np.sqrt(table[row, column]) / most * _SHADES))
        x, y, high_x, high_y = edges[row], edges[column], edges[row + 1], edges[column + 1]
        corners = [(x, y), (high_x, y), (high_x, high_y), (x, high_y), (x, y)]
        groups[shade].append(Path(corners, closed=True))
    for shade, squares in groups.items():
        path = Path.make_compound_path(*squares)
        alpha = 0.3 + 0.7 * shade / _SHADES
        axes.add_patch(PathPatch(path, facecolor=OURS, alpha=alpha, linewidth=0, zorder=3))


def _residuals(outcomes: Outcomes) -> Panel:
    def paint(axes: Axes) -> None:
        of = "values" if outcomes.outputs else "rows"
        _histograms(axes, outcomes.residuals, outcomes.residual_edges, of)
        axes.axvline(0, color=MUTED, linewidth=1.2, linestyle=(0, (5, 4)), zorder=4)
        axes.set_xlabel(with_unit("predicted minus true", outcomes), labelpad=6)

    found = {f"{STAGE_NAMES[name]} {number(one['bias'])}" for name, one in outcomes.figures.items()}
    label = f"Histogram of residuals; mean: {', '.join(sorted(found))}"
    return panel("residuals", "Residuals", label, paint, 400, (76, 16, 34, 50))


def _errors(outcomes: Outcomes) -> Panel:
    def paint(axes: Axes) -> None:
        _histograms(axes, outcomes.errors, outcomes.edges, "rows")
        axes.set_xlabel("mean squared error of a row", labelpad=6)

    found = [f"{STAGE_NAMES[name]} {number(one['p99'])}" for name, one in outcomes.figures.items()]
    label = f"Histogram of rows' errors; 99 of 100 rows are below {', '.join(found)}"
    return panel("errors", "Error of each row", label, paint, 320, (76, 16, 34, 50))


def _histograms(axes: Axes, counts: Mapping[str, Counts], edges: Sequence[float], of: str) -> None:
    """Draw the float model filled, int8 as an outline on it."""
    for stage, values in counts.items():
        filled = stage == FLOAT
        axes.add_patch(
            StepPatch(
                values, edges, fill=filled, facecolor=OURS if filled else "none",
                edgecolor=_COLOURS.get(stage, OTHER), alpha=0.45 if filled else None,
                linewidth=0 if filled else 1.8, label=STAGE_NAMES[stage], zorder=3,
            )
        )  # fmt: skip
    most = max(int(values.max()) for values in counts.values())
    axes.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.08 * (most or 1)))
    axes.set_ylabel(of, labelpad=6)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    only_grid(axes)
    axes.legend(loc="upper right", frameon=False, labelcolor=INK, handlelength=1.4)
