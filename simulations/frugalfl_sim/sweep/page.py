"""The page of a sweep: sweep.html.j2 filled in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite, log10
from pathlib import Path

from jinja2 import ChoiceLoader, FileSystemLoader
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from frugalfl.sizes import size_text
from frugalfl_server.report.html import as_markup, environment
from frugalfl_server.report.marks import annotate
from frugalfl_server.report.svg import MUTED, OTHER, OURS, draw
from frugalfl_server.report.texts import joules, measure_title
from frugalfl_server.report.ticks import byte_limits, byte_ticks, only_grid
from frugalfl_sim.sweep.figures import Group, Outcome, cost_title, grouped, joules_of, mean_of
from frugalfl_sim.sweep.table import CAPTION, fronts, header, rows

_SIZE, _MARGINS = (920, 380), (74, 24, 24, 50)


def sweep_page(app: str, outcomes: Sequence[Outcome], target: float | None) -> str:
    """Return the page as HTML; everything in it that came from outside is escaped."""
    made = environment()
    made.loader = ChoiceLoader(
        [FileSystemLoader(Path(__file__).parent), made.loader or FileSystemLoader([])]
    )
    groups = grouped(outcomes)
    beaten = fronts(outcomes, groups)
    measure = next(one.measure for one in outcomes if one.measure)
    costs: dict[str, Callable[[Group], float | None]] = {
        "bytes": lambda group: mean_of(group, "bytes"),
        "joules": joules_of,
    }
    drawings = {
        name: as_markup(_figure(name, measure, groups, cost, beaten[name]))
        for name, cost in costs.items()
        if any(cost(group) is not None and group.figures["value"] for group in groups)
    }
    return made.get_template("sweep.html.j2").render(
        app=app,
        number=len(outcomes),
        failed=[one for one in outcomes if one.reason],
        drawings=drawings,
        titles={name: cost_title(name, groups) for name in drawings},
        fronts={name: [groups[place].label for place in found] for name, found in beaten.items()},
        header=header(outcomes, groups, target),
        rows=rows(outcomes, groups, target),
        caption=CAPTION,
    )


def _figure(
    name: str,
    measure: str,
    groups: Sequence[Group],
    cost: Callable[[Group], float | None],
    front: Sequence[int],
) -> str:
    """Draw the measure against a cost: a dot for each group, a line for those not beaten."""
    points = {
        place: (price, value.mean)
        for place, group in enumerate(groups)
        if (price := cost(group)) is not None and (value := group.figures["value"]) is not None
    }

    title = cost_title(name, groups)

    def paint(axes: Axes) -> None:
        axes.set_xlabel(f"{title} of a run (mean over seeds)", labelpad=8)
        _axes(axes, name, measure, [x for x, _ in points.values()])
        for place, (x, y) in points.items():
            axes.plot(x, y, "o", color=OURS if place in front else OTHER, markersize=7, zorder=4)
            _range(axes, groups[place], x)
        axes.plot(*zip(*(points[one] for one in front), strict=True), color=OURS, linewidth=1.4)
        for place in front:
            annotate(axes, groups[place].label, points[place], (6, -14), "data", color=MUTED)

    return draw(f"by-{name}", _SIZE, f"{measure_title(measure)} against {title}", paint, _MARGINS)


def _axes(axes: Axes, name: str, measure: str, costs: Sequence[float]) -> None:
    axes.set_ylabel(measure_title(measure))
    if min(costs) > 0 and isfinite(log10(max(costs))):
        low, high = byte_limits(min(costs), max(costs)) if name == "bytes" else _limits(costs)
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        if name == "bytes":
            byte_ticks(axes.xaxis, low, high)
        else:
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: joules(x)))
    elif name == "bytes":
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: size_text(x)))
    only_grid(axes)


def _limits(costs: Sequence[float]) -> tuple[float, float]:
    """Return limits that a power of ten is between."""
    return min(costs) / 4, max(costs) * 4


def _range(axes: Axes, group: Group, x: float) -> None:
    value = group.figures["value"]
    if value is not None:
        axes.plot([x, x], [value.least, value.most], color=MUTED, linewidth=1, zorder=3)
