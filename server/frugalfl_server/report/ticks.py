"""What the figures share: axes of bytes and of scores, and a grid that stays behind the data."""

from __future__ import annotations

from math import sqrt

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from frugalfl.sizes import size_text
from frugalfl_server.report.run_facts import Facts
from frugalfl_server.report.svg import GRID

_STEPS = ((1, 10, 100), (1, 3, 10, 30, 100, 300), (1, 2, 5, 10, 20, 50, 100, 200, 500))
_UNITS = (1, 1 << 10, 1 << 20, 1 << 30, 1 << 40)


def byte_ticks(axis: Axis, low: float, high: float) -> None:
    """Put ticks on 1, 10 and 100 B, KiB, MiB and so on; closer if only few would show."""
    for steps in _STEPS:
        shown = [step * unit for unit in _UNITS for step in steps if low <= step * unit <= high]
        if len(shown) > 2:
            break
    axis.set_major_locator(FixedLocator(shown))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda count, _: size_text(count).replace(".0 ", " ")))


def score_ticks(axis: Axis, facts: Facts) -> None:
    """Label an axis with accuracies in percent, or with values of the task's first measure."""
    plain = "{:.2f}".format if facts.shows_share else "{:.3g}".format
    text = plain if facts.metric else lambda share: f"{share * 100:.0f} %"
    axis.set_major_formatter(FuncFormatter(lambda value, _: text(value)))


def byte_limits(smallest: float, largest: float) -> tuple[float, float]:
    """Return limits with some room around the data, a decade apart or more so that ticks fit."""
    low, high = max(smallest, 1) / 1.3, max(largest, 1) * 1.3
    widen = max(1.0, sqrt(10 * low / high))
    return low / widen, high * widen


def only_grid(axes: Axes) -> None:
    """Leave of the y axis its labels and horizontal lines."""
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
