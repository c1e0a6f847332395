"""What several drawings have in common: lines with a dot a round, and texts beside a point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from frugalfl_server.report.svg import PAPER
from frugalfl_server.run.records import RoundRecord

#: Beyond this many rounds a dot for each hides the line.
_MOST_DOTS = 250


def plot_rounds(
    axes: Axes,
    rounds: Sequence[RoundRecord],
    x: Sequence[float],
    y: Sequence[float],
    colour: str,
    style: Any = "-",
) -> None:
    """Draw one federation: a dot per round, hollow if the model is the pruned one."""
    axes.plot(x, y, color=colour, linestyle=style, linewidth=1.8, zorder=3)
    if len(rounds) > _MOST_DOTS:
        return
    dots: dict[str, Any] = {"color": colour, "markersize": 5 if len(rounds) < 40 else 3.8}
    for phase, face in (("train", colour), ("recover", PAPER)):
        chosen = [place for place, record in enumerate(rounds) if record.phase == phase]
        points = [x[place] for place in chosen], [y[place] for place in chosen]
        axes.plot(*points, "o", markerfacecolor=face, zorder=4, **dots)


def annotate(
    axes: Axes,
    text: str,
    point: tuple[float, float],
    offset: tuple[float, float],
    of: Any = "axes fraction",
    **style: Any,
) -> None:
    """Write text so many px right of and above a point.

    Args:
        axes: Where.
        text: What.
        point: In the coordinates ``of``, one name of Matplotlib's for both or one for each.
        offset: To the right and up (px).
        of: See ``point``.
        **style: Of the text.
    """
    axes.annotate(text, point, xycoords=of, xytext=offset, textcoords="offset points", **style)
