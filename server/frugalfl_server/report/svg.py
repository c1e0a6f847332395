"""A Matplotlib drawing as SVG text that belongs in an HTML page.

The drawing uses stand-in colours, and the SVG names CSS variables instead, so that one drawing
serves light and dark. Text stays text in the page's font, so nothing is embedded.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from frugalfl.text import MOST_OF_A_LINE, printable

#: CSS variable by stand-in colour; style.css.j2 gives each a light and a dark value.
_VARIABLES = {
    "#010101": "--ink",
    "#020202": "--muted",
    "#030303": "--grid",
    "#040404": "--paper",
    "#050505": "--ours",
    "#060606": "--other",
    "#070707": "--phase-1",
    "#080808": "--phase-2",
    "#090909": "--phase-3",
    "#0a0a0a": "--phase-4",
    "#0b0b0b": "--phase-5",
    "#0c0c0c": "--phase-6",
}
INK, MUTED, GRID, PAPER, OURS, OTHER, *PHASE_COLOURS = _VARIABLES

_STYLE: Any = {
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "axes.labelcolor": MUTED,
    "axes.linewidth": 1.0,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "font.family": "sans-serif",
    "font.size": 13,
    "hatch.linewidth": 1.4,
    "path.simplify_threshold": 0.5,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.color": GRID,
    "ytick.labelcolor": MUTED,
}
#: Gives each variable its light value, then its dark one.
_STYLE_SHEET = Path(__file__).with_name("style.css.j2")
_COLOUR = re.compile(r"(--[\w-]+): (#\w+)")
_NO_METADATA = {"Creator": None, "Date": None, "Format": None, "Type": None}
_DPI = 72


def draw(
    name: str,
    size: tuple[int, int],
    label: str,
    paint: Callable[[Axes], None],
    margins: tuple[int, int, int, int],
) -> str:
    """Draw one figure.

    Args:
        name: Unique in the page; the prefix of every id.
        size: Width and height (px).
        label: What the figure says, for those who do not see it.
        paint: Draws on the axes.
        margins: Left, right, top and bottom of the axes (px).

    Returns:
        An ``<svg>`` element.
    """
    width, height = size
    left, right, top, bottom = margins
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        # One dot a point: offsets, margins and transforms are all in the page's px.
        figure = Figure((width / _DPI, height / _DPI), dpi=_DPI)
        axes = figure.add_axes(
            (
                left / width,
                bottom / height,
                (width - left - right) / width,
                (height - top - bottom) / height,
            )
        )
        paint(axes)
        _clean(figure)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata=_NO_METADATA)
    return _for_page(file.getvalue(), name, size, label)


def _clean(figure: Figure) -> None:
    """Leave nothing but letters in a drawing's texts: some are what a run's files call things."""
    for text in figure.findobj(Text):
        said = text.get_text()
        clean = "\n".join(printable(line, MOST_OF_A_LINE) for line in said.split("\n"))
        if clean != said:
            text.set_text(clean)


def as_file(svg: str) -> str:
    """Return a page's ``<svg>`` as a drawing of its own: light, on paper, in any program's font."""
    light = dict(_COLOUR.findall(_STYLE_SHEET.read_text(encoding="utf-8").partition("@media")[0]))
    drawn = re.sub(r"var\((--[\w-]+)\)", lambda found: light[found[1]], svg)
    _, _, width, height = re.findall(r"[\d.]+", drawn[drawn.index("viewBox") :])[:4]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="system-ui, sans-serif" '
    )
    paper = f'<rect width="100%" height="100%" fill="{light["--paper"]}"/>'
    start = drawn.index(">") + 1
    return f"{head}{drawn[5:start]}{paper}{drawn[start:]}"


def _for_page(svg: str, name: str, size: tuple[int, int], label: str) -> str:
    """Cut what only a file of its own needs, and make ids and colours the page's."""
    body = svg[svg.index("<g id=") : svg.rindex("</svg>")]
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r'(xlink:href="#|url\(#)', rf"\1{name}-", body).replace("xlink:href", "href")
    body = re.sub(r' ?transform="rotate\(-0 [^"]*"', "", body)
    body = re.sub(r"font-family: [^;\"]*;? ?", "", body)
    # Coordinates only: between the tags stand numbers to read.
    body = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d+\.\d)\d+", r"\1", tag[0]), body)
    body = re.sub(r"\s*\n\s*", " ", body)
    body = re.sub(r'fill="(#0\w0\w0\w)"', r'style="fill: \1"', body)
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, f"var({variable})")
    return (
        f'<svg id="{name}" viewBox="0 0 {size[0]} {size[1]}" role="img" '
        f'aria-label="{escape(label)}">{body}</svg>'
    )
