"""Small drawings side by side: one drawing serves a wide page, two a line, and a phone, one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.axes import Axes

from frugalfl_server.report.marks import annotate
from frugalfl_server.report.svg import INK, draw

#: Width of a panel (px).
WIDTH = 440


@dataclass(frozen=True)
class Panel:
    """One small drawing.

    Attributes:
        name: Unique in the page; also of the file that it is downloaded as.
        title: Above the drawing.
        svg: An ``<svg>`` element.
    """

    name: str
    title: str
    svg: str


def panel(
    name: str,
    title: str,
    label: str,
    paint: Callable[[Axes], None],
    height: int = 280,
    margins: tuple[int, int, int, int] = (58, 14, 34, 48),
) -> Panel:
    """Draw one panel with its title.

    Args:
        name: Unique in the page.
        title: Above the axes, from the left edge.
        label: What it says, for those who do not see it.
        paint: Draws on the axes.
        height: In px.
        margins: Left, right, top and bottom of the axes (px).
    """

    def titled(axes: Axes) -> None:
        paint(axes)
        style = {"color": INK, "fontweight": "bold", "annotation_clip": False}
        annotate(axes, title, (0, 1), (4 - margins[0], 14), **style)

    return Panel(name, title, draw(name, (WIDTH, height), label, titled, margins))
