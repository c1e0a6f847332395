"""What the figures share: one colour and marker for each method, and a key above the axes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from frugalfl_server.report.svg import GRID, INK, MUTED, OTHER, OURS, PAPER, PHASE_COLOURS
from frugalfl_sim.comparison.rows import METHODS

#: Drawings wider than this have room for more.
ROOMY_PX = 600
_, _, _GREEN, _PINK, _OLIVE, _VIOLET = PHASE_COLOURS
#: Colour and marker by method.
STYLES = {
    "alone": (MUTED, "s"),
    "central": (OTHER, "D"),
    "central_all": (OTHER, "X"),
    "refit": (OURS, "o"),
    "bagging": (OURS, "s"),
    "cyclic": (_OLIVE, "o"),
    "histogram": (_GREEN, "o"),
    "mlp": (_VIOLET, "^"),
    "mlp_int8": (_VIOLET, "v"),
    "central_mlp": (_PINK, "D"),
}
_KEY_LINE_PX = 20


def marker(method: str, hollow: bool = False) -> dict[str, Any]:
    """Return how Matplotlib draws a method's point."""
    colour, shape = STYLES[method]
    return {
        "color": colour, "marker": shape, "markersize": 8, "markeredgewidth": 1.8,
        "markerfacecolor": PAPER if hollow else colour, "linestyle": "none",
    }  # fmt: skip


def method_handles(methods: Iterable[str], lines: bool = False) -> list[Line2D]:
    """Return an entry of the key for each method."""
    entries = []
    for method in methods:
        style = {"color": STYLES[method][0], "linewidth": 2.4} if lines else marker(method)
        entries.append(Line2D([], [], label=METHODS[method].name, **style))
    return entries


def key(axes: Axes, entries: Sequence[Artist], columns: int) -> None:
    """Explain colours and markers above the axes; on a phone from the drawing's left edge."""
    roomy = axes.bbox.width > ROOMY_PX
    left = 0.0 if roomy else -axes.bbox.x0 / axes.bbox.width
    axes.legend(
        handles=entries, loc="lower left", bbox_to_anchor=(left, 1.0), borderaxespad=0.4,
        ncols=columns, frameon=False, labelcolor=INK, handlelength=1.4, columnspacing=1.4,
        borderpad=0,
    )  # fmt: skip


def key_height(entries: int, columns: int) -> int:
    """Return the room that a key needs above the axes (px)."""
    return 14 + _KEY_LINE_PX * -(-entries // columns)


def lying(axes: Axes, names: list[str]) -> None:
    """Put names down the left side, with lines for the values to read them by."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
