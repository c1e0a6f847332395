"""Figure 2: bytes of each round, up and down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from frugalfl.sizes import size_text
from frugalfl_server.report.marks import annotate
from frugalfl_server.report.run_facts import Facts
from frugalfl_server.report.svg import MUTED, OTHER, OURS, draw
from frugalfl_server.report.ticks import byte_limits, byte_ticks, only_grid
from frugalfl_server.run.records import RoundRecord

_TOP, _BOTTOM = 26, 50
_LABEL_PX = 40


@dataclass(frozen=True)
class _Line:
    name: str
    rounds: Sequence[int]
    counts: Sequence[int]
    colour: str
    dashed: bool

    @property
    def mean(self) -> float:
        return fmean(self.counts)


def traffic_figure(facts: Facts, width: int) -> str:
    """Draw it as SVG, so many px wide."""
    lines = _lines(facts)

    def paint(axes: Axes) -> None:
        _axes(axes, lines)
        for line in lines:
            style: Any = (0, (4, 2)) if line.dashed else "-"
            axes.plot(line.rounds, line.counts, color=line.colour, linewidth=1.8, linestyle=style)
        _names(axes, lines)
        if facts.recovered:
            _mark_pruned(axes, facts.recovered[0].round)

    means = "; ".join(f"{line.name}: {size_text(line.mean)}" for line in lines)
    right = 140 if width > 600 else 124
    label, margins = f"Mean bytes of a round. {means}", (60, right, _TOP, _BOTTOM)
    return draw(f"traffic-{width}", (width, 320), label, paint, margins)


def _lines(facts: Facts) -> list[_Line]:
    lines = _both("FrugalFL", facts.done, OURS)
    if facts.baseline:
        lines += _both("FedAvg", facts.baseline, OTHER)
    return lines


def _both(name: str, records: Sequence[RoundRecord], colour: str) -> list[_Line]:
    """Return uplink and downlink; one line where they are the same, as in stock FedAvg."""
    rounds = [record.round for record in records]
    up = [max(record.uplink_bytes, 1) for record in records]
    down = [max(record.downlink_bytes, 1) for record in records]
    if up == down:
        return [_Line(f"{name} each way", rounds, up, colour, dashed=False)]
    return [
        _Line(f"{name} down", rounds, down, colour, dashed=True),
        _Line(f"{name} up", rounds, up, colour, dashed=False),
    ]


def _axes(axes: Axes, lines: Sequence[_Line]) -> None:
    low, high = byte_limits(
        min(min(line.counts) for line in lines), max(max(line.counts) for line in lines)
    )
    last = max(line.rounds[-1] for line in lines)
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    axes.set_xlim(0.5, last + 0.5)
    byte_ticks(axes.yaxis, low, high)
    axes.xaxis.set_major_locator(
        MaxNLocator(8 if axes.bbox.width > 300 else 4, integer=True, min_n_ticks=1)
    )
    axes.set_xlabel("round", labelpad=8)
    only_grid(axes)


def _names(axes: Axes, lines: Sequence[_Line]) -> None:
    """Name the lines at the right edge, each beside its last value but never on one another."""
    floor = -float("inf")
    for line in sorted(lines, key=lambda one: one.counts[-1]):
        height = float(axes.transData.transform((1, line.counts[-1]))[1] - axes.bbox.y0)
        floor = max(height, floor + _LABEL_PX)
        text = f"{line.name}\nmean {size_text(line.mean)}"
        style = {"color": line.colour, "va": "center", "annotation_clip": False}
        annotate(axes, text, (1, 0), (8, floor), **style)


def _mark_pruned(axes: Axes, first: int) -> None:
    axes.axvline(first - 0.5, color=MUTED, linestyle=(0, (2, 3)), linewidth=1.2)
    of, style = ("data", "axes fraction"), {"ha": "center", "annotation_clip": False}
    annotate(axes, "pruned", (first - 0.5, 1), (0, 8), of, color=MUTED, **style)
