"""Confusion matrices of the final model, float and int8: what is true against what was said."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from frugalfl.text import printable
from frugalfl_server.report.final_outcomes import STAGE_NAMES, Counts, Outcomes
from frugalfl_server.report.panels import WIDTH, Panel, panel
from frugalfl_server.report.svg import GRID, INK, OTHER, OURS, PAPER

#: Beyond so many classes counts do not fit into the cells.
_MOST_NUMBERS = 12
#: Shades of a colour: cells of a shade are one path, which keeps the page small.
_SHADES = 12
#: Longest name of a class along an axis (characters).
_LONGEST = 12
_CHARACTER_PX = 7.4


def confusion_panels(outcomes: Outcomes) -> list[Panel]:
    """Draw one matrix a stage."""
    return [
        _matrix(f"confusion-{stage}", STAGE_NAMES[stage], table, outcomes)
        for stage, table in outcomes.matrices.items()
    ]


def _matrix(name: str, stage: str, table: Counts, outcomes: Outcomes) -> Panel:
    classes = len(table)
    names = [printable(one, _LONGEST) for one in outcomes.names]
    longest_px = max(10, round(max(map(len, names)) * _CHARACTER_PX))
    left = 44 + longest_px
    side = WIDTH - left - 16
    turned = longest_px > side / classes

    def paint(axes: Axes) -> None:
        shares = _shares(table)
        _cells(axes, shares)
        if classes <= _MOST_NUMBERS:
            _numbers(axes, table, shares)
        _describe(axes, names, turned=turned)

    right, total = int(table.trace()), int(table.sum())
    bottom = 44 + (longest_px if turned else 12)
    title = f"{stage}: {right:,} of {total:,} {outcomes.counted} right"
    label, margins = f"Confusion matrix, {title}", (left, 16, 34, bottom)
    return panel(name, title, label, paint, side + bottom + 34, margins)


def _shares(table: Counts) -> npt.NDArray[np.float64]:
    """Return the share of each true class that was taken for each class; 0 if it has no rows."""
    of_class = table.sum(axis=1, keepdims=True)
    shares: npt.NDArray[np.float64] = table / np.maximum(of_class, 1)
    return shares


def _shade(share: float) -> int:
    """Return a shade; the root lets a few per cent of mistakes be seen."""
    return int(np.ceil(np.sqrt(share) * _SHADES))


def _cells(axes: Axes, shares: npt.NDArray[np.float64]) -> None:
    """Fill the cells: what is right in one colour, mistakes in another."""
    groups: dict[tuple[str, int], list[Path]] = defaultdict(list)
    for (row, column), share in np.ndenumerate(shares):
        if share > 0:
            colour = OURS if row == column else OTHER
            groups[colour, _shade(float(share))].append(_square(column, row))
    for (colour, shade), squares in groups.items():
        path = Path.make_compound_path(*squares)
        alpha = 0.9 * shade / _SHADES
        axes.add_patch(PathPatch(path, facecolor=colour, alpha=alpha, linewidth=0))


def _square(x: float, y: float) -> Path:
    low_x, high_x, low_y, high_y = x - 0.47, x + 0.47, y - 0.47, y + 0.47
    corners = [(low_x, low_y), (high_x, low_y), (high_x, high_y), (low_x, high_y), (low_x, low_y)]
    return Path(corners, closed=True)


def _numbers(axes: Axes, table: Counts, shares: npt.NDArray[np.float64]) -> None:
    for (row, column), count in np.ndenumerate(table):
        if count:
            dark = _shade(float(shares[row, column])) > 0.6 * _SHADES
            colour, size = PAPER if dark else INK, 12 if len(table) > 6 else 13
            centred = {"ha": "center", "va": "center_baseline"}
            axes.text(column, row, _short(int(count)), centred, color=colour, fontsize=size)


def _short(count: int) -> str:
    """Return a count that fits into a cell.

    >>> _short(87), _short(12345), _short(4200000)
    ('87', '12k', '4.2M')
    """
    if count < 10_000:
        return str(count)
    return f"{count / 1000:.0f}k" if count < 1_000_000 else f"{count / 1e6:.1f}M"


def _describe(axes: Axes, names: list[str], turned: bool) -> None:
    classes = len(names)
    axes.set(xlim=(-0.5, classes - 0.5), ylim=(classes - 0.5, -0.5))
    step = -(-classes // 25)
    places = range(0, classes, step)
    shown = [names[place] for place in places]
    axes.set_xticks(places, shown, rotation=90 if turned else 0)
    axes.set_yticks(places, shown)
    axes.tick_params(length=0, labelsize=12)
    axes.set_xlabel("predicted", labelpad=6)
    axes.set_ylabel("true", labelpad=6)
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(GRID)
