"""Figures that compare methods: average precision by method and by branch, joules, bytes."""

from __future__ import annotations

from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from frugalfl.sizes import size_text
from frugalfl_server.report.svg import GRID, INK, MUTED, OURS, PAPER, PHASE_COLOURS, draw
from frugalfl_server.report.texts import joules
from frugalfl_server.report.ticks import only_grid
from frugalfl_sim.comparison.comparison import Cell, Comparison
from frugalfl_sim.comparison.method_style import (
    ROOMY_PX,
    STYLES,
    key,
    key_height,
    lying,
    marker,
    method_handles,
)
from frugalfl_sim.comparison.rows import METHODS

_LINE_PX = 30
_KINDS = ("model", "bins", "counters")
_KIND_COLOURS = (OURS, PHASE_COLOURS[1], PHASE_COLOURS[2])
_PRECISION = FuncFormatter(lambda value, _: f"{value:.2f}")


def methods_figure(comparison: Comparison, split: str, name: str, width: int) -> str:
    """Draw average precision with its interval, a method a line; hollow is local counters."""
    cells = [cell for cell in comparison.cells if cell.split == split]
    methods = [one for one in METHODS if any(one in comparison.methods(cell) for cell in cells)]

    def paint(axes: Axes) -> None:
        lying(axes, [METHODS[one].name for one in methods])
        for cell in cells:
            for place, method in enumerate(methods):
                _interval(axes, comparison, cell, method, place, len(cells) > 1)
        axes.xaxis.set_major_locator(MaxNLocator(8 if width > ROOMY_PX else 4))
        axes.xaxis.set_major_formatter(_PRECISION)
        axes.set_xlabel("average precision, all test rows", labelpad=8)
        shapes = {"shared": INK, "local": PAPER}
        entries = [
            Line2D([], [], color=INK, marker="o", markerfacecolor=shapes.get(cell.counters, INK),
                   markersize=8, markeredgewidth=1.8, linestyle="none",
                   label=f"{cell.counters} counters")
            for cell in cells
        ]  # fmt: skip
        key(axes, entries, 2)

    best = {one: comparison.average_precision(cells[-1], one) for one in methods}
    said = "; ".join(f"{METHODS[one].name} {v.text()}" for one, v in best.items() if v is not None)
    label = f"Average precision, {split} split, {cells[-1].counters} counters. {said}"
    size = (width, 80 + _LINE_PX * len(methods))
    return draw(f"{name}-{width}", size, label, paint, (150, 18, 34, 46))


def branches_figure(comparison: Comparison, cell: Cell, width: int) -> str:
    """Draw average precision on each branch's own rows: alone, federated, centralised."""
    methods = [
        one for one in ("alone", comparison.chosen, "central") if one in comparison.methods(cell)
    ]
    values = {one: branch_precision(comparison, cell, one) for one in methods}
    names = list(dict.fromkeys(name for found in values.values() for name in found))

    def paint(axes: Axes) -> None:
        lying(axes, names)
        for place, name in enumerate(names):
            found = {one: values[one].get(name) for one in methods}
            known = {one: value for one, value in found.items() if value is not None}
            if not known:
                axes.annotate(
                    "unknown: one class", (0, place), xycoords=("axes fraction", "data"),
                    xytext=(6, 0), textcoords="offset points", va="center", color=MUTED,
                )  # fmt: skip
                continue
            ends = [min(known.values()), max(known.values())]
            axes.plot(ends, [place, place], color=GRID, linewidth=3, zorder=2)
            for one, value in known.items():
                axes.plot(value, place, zorder=3, **marker(one))
        axes.xaxis.set_major_locator(MaxNLocator(8 if width > ROOMY_PX else 4))
        axes.xaxis.set_major_formatter(_PRECISION)
        axes.set_xlabel("average precision, own test rows", labelpad=8)
        key(axes, method_handles(methods), 3 if width > ROOMY_PX else 2)

    top = key_height(len(methods), 3 if width > ROOMY_PX else 2)
    left = 30 + 7 * min(max(map(len, names)), 24)
    said = (
        f"{name}, {METHODS[one].name}: {_digits(values[one].get(name))}"
        for name in names
        for one in methods
    )
    label = f"Average precision of each branch's own test rows. {'; '.join(said)}"
    size = (width, top + 46 + _LINE_PX * len(names))
    return draw(f"branches-{width}", size, label, paint, (left, 18, top, 46))


def branch_precision(comparison: Comparison, cell: Cell, method: str) -> dict[str, float | None]:
    """Return average precision on each branch's own rows, mean over the seeds where it is known."""
    runs = [row.evaluation.branches for row in comparison.runs(cell, method)]
    names = dict.fromkeys(name for branches in runs for name in branches)
    found = {name: [b[name].average_precision for b in runs if name in b] for name in names}
    known = {name: [v for v in values if v is not None] for name, values in found.items()}
    return {name: fmean(values) if values else None for name, values in known.items()}


def has_joules(comparison: Comparison, cell: Cell) -> bool:
    """Whether there is a method whose training joules and average precision are known."""
    return bool(_joule_points(comparison, cell))


def joules_figure(comparison: Comparison, cell: Cell, width: int) -> str:
    """Draw average precision against joules of training; hollow is estimated."""
    points = _joule_points(comparison, cell)
    columns = 4 if width > ROOMY_PX else 2

    def paint(axes: Axes) -> None:
        for method, kind, used, precision in points:
            axes.plot(used, precision, zorder=3, **marker(method, hollow=kind != "measured"))
        axes.set_xlim(left=0)
        axes.margins(x=0.08, y=0.12)
        axes.xaxis.set_major_locator(MaxNLocator(8 if width > ROOMY_PX else 4, min_n_ticks=2))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} J"))
        axes.yaxis.set_major_formatter(_PRECISION)
        axes.set_xlabel("joules of training, all branches", labelpad=8)
        only_grid(axes)
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        entries = [
            Line2D([], [], label=METHODS[method].name, **marker(method, hollow=kind != "measured"))
            for method, kind, _, _ in points
        ]
        key(axes, entries, columns)

    top = key_height(len(points), columns)
    label = "Average precision against joules of training. " + "; ".join(
        f"{METHODS[method].name}: {precision:.3f}, {joules(used)} {kind}"
        for method, kind, used, precision in points
    )
    return draw(f"joules-{width}", (width, 320 + top), label, paint, (54, 18, top, 50))


def bytes_figure(comparison: Comparison, cell: Cell, width: int) -> str:
    """Draw what was sent in the whole federation, by kind, up and down."""
    methods = [one for one in comparison.methods(cell) if METHODS[one].federated]
    bars = []
    for method in methods:
        for way in ("uplink", "downlink"):
            sent = [getattr(row, way) for row in comparison.runs(cell, method)]
            known = [one for one in sent if one is not None]
            if known:
                parts = [fmean(getattr(one, kind) for one in known) for kind in _KINDS]
                bars.append((f"{METHODS[method].name}, {way[:-4]}", parts))
    most = max(sum(parts) for _, parts in bars) or 1

    def paint(axes: Axes) -> None:
        lying(axes, [name for name, _ in bars])
        axes.set_xlim(0, most * (1.14 if width > ROOMY_PX else 1.5))
        for place, (_, parts) in enumerate(bars):
            start = 0.0
            for part, colour in zip(parts, _KIND_COLOURS, strict=True):
                axes.barh(place, part, left=start, height=0.62, color=colour)
                start += part
            axes.annotate(
                size_text(start), (start, place), xytext=(6, 0), textcoords="offset points",
                va="center",
            )  # fmt: skip
        axes.xaxis.set_major_locator(MaxNLocator(5 if width > ROOMY_PX else 2))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: size_text(value)))
        entries = [Patch(facecolor=c, label=k) for k, c in zip(_KINDS, _KIND_COLOURS, strict=True)]
        key(axes, entries, 3)

    label = "Bytes of the whole federation. " + "; ".join(
        f"{name}: {size_text(sum(parts))}" for name, parts in bars
    )
    size = (width, 66 + 26 * len(bars))
    return draw(f"bytes-{width}", size, label, paint, (186, 12, 34, 32))


def _joule_points(comparison: Comparison, cell: Cell) -> list[tuple[str, str, float, float]]:
    """Return method, kind of joules, joules and average precision where both are known."""
    points = []
    for method in comparison.methods(cell):
        used, found = comparison.training(cell, method), comparison.average_precision(cell, method)
        if used.both is not None and found is not None:
            points.append((method, used.kind, used.both, found.mean))
    return points


def _interval(
    axes: Axes, comparison: Comparison, cell: Cell, method: str, place: int, several: bool
) -> None:
    """One dot with its interval; local counters a little below shared ones."""
    found = comparison.average_precision(cell, method)
    if found is None:
        return
    local = cell.counters == "local"
    height = place + ((0.14 if local else -0.14) if several else 0)
    half = found.half_width or 0
    axes.plot(
        [found.mean - half, found.mean + half], [height] * 2, color=STYLES[method][0], linewidth=1.8
    )
    axes.plot(found.mean, height, zorder=3, **marker(method, hollow=local))


def _digits(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"
