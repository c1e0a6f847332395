"""The curves as one SVG file: accuracy against all bytes, a panel for each task and cohort.

Every scheme's name stands above the panel, led there from the point where its mean curve crosses
the target; names of schemes that never do stand in brackets, led from where their curve ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter
from matplotlib.transforms import IdentityTransform

from frugalfl_server.report.svg import INK, MUTED, OTHER, OURS, PHASE_COLOURS, draw
from frugalfl_server.report.ticks import byte_limits, byte_ticks, only_grid
from schemes.catalogue import CATALOGUE
from schemes.cells import Cell

_WIDTH, _HEIGHT, _COLUMNS = 560, 440, 2
_MARGINS = (52, 20, 128, 48)
_NAME_PX = 17
#: Stand-in colour, its variable, line width and what it stands for, by the kind of a scheme.
_KINDS = {
    "float32": (OTHER, "--other", 2.1, "float32 both ways"),
    "up": (MUTED, "--muted", 1.1, "compressed up, float32 down"),
    "both": (PHASE_COLOURS[2], "--phase-3", 1.4, "compressed both ways"),
    "ours": (OURS, "--ours", 2.4, "ours"),
}
#: The report's style sheet has these; a file of its own needs them inside.
_STYLE = """
svg { --ink: #16202b; --muted: #566472; --grid: #dde3e9; --paper: #ffffff; --ours: #0063a6;
  --other: #b85400; --phase-3: #00846a; font-family: system-ui, sans-serif; }
@media (prefers-color-scheme: dark) {
  svg { --ink: #e8edf2; --muted: #9dabb8; --grid: #303a45; --paper: #12171d; --ours: #5cb8f0;
    --other: #f0955a; --phase-3: #4cc9a8; }
}
"""


@dataclass(frozen=True)
class _Line:
    name: str
    kind: str
    x: list[float]
    y: list[float]
    target: float

    @property
    def place(self) -> int:
        """The point that the name is led to."""
        over = (i for i, value in enumerate(self.y) if value >= self.target)
        return next(over, len(self.y) - 1)

    @property
    def label(self) -> str:
        return self.name if self.y[self.place] >= self.target else f"({self.name})"


def figure(cells: Sequence[Cell]) -> str:
    """Return a whole SVG file."""
    groups: dict[tuple[str, int], list[Cell]] = {}
    for cell in cells:
        if cell["mean_bytes_by_round"]:
            groups.setdefault((cell["task"], cell["cohort"]), []).append(cell)
    panels = []
    for place, (key, group) in enumerate(groups.items()):
        x, y = place % _COLUMNS * _WIDTH, place // _COLUMNS * _HEIGHT
        panels.append(_placed(_panel(*key, group), x, y))
    width = _WIDTH * min(_COLUMNS, len(groups))
    height = _HEIGHT * -(-len(groups) // _COLUMNS) + 30
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}"><style>{_STYLE}</style>'
        f'<rect width="100%" height="100%" style="fill: var(--paper)"/>'
        f"{''.join(panels)}{_legend(height - 12)}</svg>\n"
    )


def _placed(svg: str, x: int, y: int) -> str:
    """Put a panel inside the file's own ``<svg>``."""
    size = f'x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}"'
    return svg.replace("<svg ", f"<svg {size} ", 1)


def _legend(y: int) -> str:
    parts, x = [], float(_MARGINS[0])
    for _, variable, width, text in _KINDS.values():
        parts.append(
            f'<path d="M{x} {y - 4}h24" style="stroke: var({variable}); stroke-width: {width}"/>'
            f'<text x="{x + 30}" y="{y}" font-size="13" style="fill: var(--ink)">{text}</text>'
        )
        x += 60 + 7.2 * len(text)
    return "".join(parts)


def _panel(task: str, cohort: int, cells: Sequence[Cell]) -> str:
    """Draw the curves of one task with one cohort."""
    target = cells[0]["target"]
    lines = [
        _Line(
            cell["scheme"], CATALOGUE[cell["scheme"]].kind, cell["mean_bytes_by_round"],
            cell["mean_accuracy_by_round"], target,
        )
        for cell in cells
    ]  # fmt: skip
    title = f"{task}, {cohort} clients a round"

    def paint(axes: Axes) -> None:
        low, high = byte_limits(min(_.x[0] for _ in lines), max(_.x[-1] for _ in lines))
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        byte_ticks(axes.xaxis, low, high)
        axes.set_xlabel("bytes so far, both directions (log scale)", labelpad=8)
        axes.set_ylim(0, 1.01)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share * 100:.0f} %"))
        only_grid(axes)
        axes.axhline(target, color=INK, linestyle=(0, (5, 4)), linewidth=1.0, zorder=2)
        for line in lines:
            colour, _, width, _ = _KINDS[line.kind]
            axes.plot(line.x, line.y, color=colour, linewidth=width, zorder=3 + (width > 2))
        _names(axes, lines)
        axes.annotate(
            f"{title}: the way to {target:.1%}", (0, 1), xycoords="axes fraction",
            xytext=(-40, 110), textcoords="offset points", color=INK, fontweight="bold",
            annotation_clip=False,
        )  # fmt: skip

    return draw(f"{task}-{cohort}", (_WIDTH, _HEIGHT), title, paint, _MARGINS)


def _names(axes: Axes, lines: Sequence[_Line]) -> None:
    """Write the names above the axes, upright, each as near to its point as they fit."""
    points = [
        tuple(map(float, axes.transData.transform((line.x[line.place], line.y[line.place]))))
        for line in lines
    ]
    places = _apart([x for x, _ in points], axes.bbox.x0, axes.bbox.x1)
    top, pixels = axes.bbox.y1, IdentityTransform()
    for line, (x, y), place in zip(lines, points, places, strict=True):
        colour, _, width, _ = _KINDS[line.kind]
        axes.plot(x, y, "o", color=colour, markersize=3 + width, transform=pixels, zorder=6)
        axes.plot(
            [x, x, place, place], [y, top + 4, top + 16, top + 20], color=colour,
            linewidth=0.7, transform=pixels, clip_on=False, zorder=2,
        )  # fmt: skip
        axes.text(
            place, top + 24, line.label, transform=pixels, rotation=90, ha="center",
            va="bottom", color=colour, fontsize=12,
            fontweight="bold" if width > 2 else "normal",
        )  # fmt: skip


def _apart(wanted: Sequence[float], low: float, high: float) -> list[float]:
    """Move places apart, in their order, until names fit beside one another."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    places = list(wanted)
    edge = low - _NAME_PX
    for i in order:
        places[i] = edge = max(wanted[i], edge + _NAME_PX)
    edge = high + _NAME_PX
    for i in reversed(order):
        places[i] = edge = min(places[i], edge - _NAME_PX)
    return places
