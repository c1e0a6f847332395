"""Figure 3: joules of each client, stacked by phase; hatched if they are estimated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter, MaxNLocator

from frugalfl_server.report.joules import ClientJoules
from frugalfl_server.report.run_facts import Facts
from frugalfl_server.report.svg import GRID, INK, MUTED, PAPER, PHASE_COLOURS, draw
from frugalfl_server.report.texts import energy
from frugalfl_server.report.ticks import only_grid

#: More bars than this cannot be told apart.
MOST_BARS = 60
_BAR_PX = 14
_HALF_BAR = 0.36


def energy_figure(facts: Facts, width: int) -> str:
    """Draw it as SVG, so many px wide: upright bars, or lying ones on a phone."""
    clients = facts.joules_by_client[:MOST_BARS]
    phases = facts.joule_phases
    wide = width > 600
    heading = energy(facts.client_energy)

    def paint(axes: Axes) -> None:
        _bars(axes, clients, phases, upright=wide)
        _key(axes, clients, phases, wide)
        _describe(axes, clients, upright=wide)

    label = f"Energy by client and phase: {heading} in all; most: client {clients[0].client}"
    height, margins = 350, (66, 16, 38, 52)
    if not wide:
        height, margins = 92 + max(_BAR_PX * len(clients), 60), (40, 16, 58, 34)
    return draw(f"energy-{width}", (width, height), label, paint, margins)


def _bars(
    axes: Axes, clients: Sequence[ClientJoules], phases: Sequence[str], upright: bool
) -> None:
    """Stack the phases; one path for all bars of a look keeps the page and a print of it small."""
    for measured in (True, False):
        places = [place for place, one in enumerate(clients) if one.measured is measured]
        base = dict.fromkeys(places, 0.0)
        for phase, colour in zip(phases, _colours(phases), strict=True):
            bars = []
            for place in places:
                joules = clients[place].phases.get(phase, 0.0)
                if joules > 0:
                    bars.append(_bar(place, base[place], base[place] + joules, upright))
                base[place] += joules
            if bars:
                path = Path.make_compound_path(*bars)
                axes.add_patch(PathPatch(path, **_style(colour, measured)))


def _bar(place: int, low: float, high: float, upright: bool) -> Path:
    across = (place - _HALF_BAR, place + _HALF_BAR)
    corners = [(across[0], low), (across[0], high), (across[1], high), (across[1], low)]
    points = corners if upright else [(y, x) for x, y in corners]
    return Path([*points, points[0]], closed=True)


def _style(colour: str, measured: bool) -> dict[str, Any]:
    """Return solid colour for what was measured, hatching inside an outline for an estimate."""
    if measured:
        return {"facecolor": colour, "edgecolor": colour, "linewidth": 1}
    return {"facecolor": PAPER, "edgecolor": colour, "linewidth": 1, "hatch": "/////"}


def _colours(phases: Sequence[str]) -> list[str]:
    return [PHASE_COLOURS[place % len(PHASE_COLOURS)] for place in range(len(phases))]


def _key(axes: Axes, clients: Sequence[ClientJoules], phases: Sequence[str], wide: bool) -> None:
    """Explain colours and hatching above the bars."""
    colours = [
        Patch(facecolor=colour, label=phase)
        for phase, colour in zip(phases, _colours(phases), strict=True)
    ]
    words: dict[bool, set[str]] = {}
    for one in clients:
        words.setdefault(one.measured, set()).update(one.methods)
    kinds = [
        Patch(
            **_style(MUTED, measured),
            label=f"{'measured' if measured else 'estimated'} by {', '.join(sorted(methods))}",
        )
        for measured, methods in sorted(words.items())
    ]
    entries = [*kinds, *colours]
    axes.legend(
        handles=entries, loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0.4,
        ncols=len(entries) if wide else 2, frameon=False, labelcolor=INK, handlelength=1.4,
        handleheight=0.9, columnspacing=1.4, borderpad=0,
    )  # fmt: skip


def _describe(axes: Axes, clients: Sequence[ClientJoules], upright: bool) -> None:
    places, names = range(len(clients)), [one.client for one in clients]
    along, across = (axes.xaxis, axes.yaxis) if upright else (axes.yaxis, axes.xaxis)
    along.set_ticks(places, names if max(map(len, names)) <= 3 else [""] * len(names))
    along.set_tick_params(length=0, labelsize=12)
    along.set_label_text("client, the most joules first")
    across.set_major_locator(MaxNLocator(5, min_n_ticks=2))
    across.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} J"))
    most = 1.05 * max(one.total_j for one in clients) or 1.0
    if upright:
        only_grid(axes)
        axes.set(xlim=(-0.7, len(clients) - 0.3), ylim=(0, most))
        return
    axes.set(xlim=(0, most), ylim=(len(clients) - 0.4, -0.6))
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    along.set_label_text("")
