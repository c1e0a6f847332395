"""Figure 1: accuracy, or the task's first metric, against the bytes sent so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from frugalfl.sizes import size_text
from frugalfl_server.report.headlines import BASELINE_NAME, comparison
from frugalfl_server.report.marks import annotate, plot_rounds
from frugalfl_server.report.run_facts import Facts, cumulative
from frugalfl_server.report.svg import INK, MUTED, OTHER, OURS, PAPER, draw
from frugalfl_server.report.texts import less
from frugalfl_server.report.ticks import byte_limits, byte_ticks, only_grid, score_ticks
from frugalfl_server.run.records import RoundRecord

_LEFT, _RIGHT, _TOP, _TOP_ALONE, _BOTTOM = 74, 16, 72, 32, 50
#: A generous mean, to tell whether a text fits.
_CHARACTER_PX = 7.4
#: Axes wider than this have room for more words.
_ROOMY_PX = 400


def accuracy_figure(facts: Facts, width: int) -> str:
    """Draw it as SVG, so many px wide."""

    def paint(axes: Axes) -> None:
        _limits(axes, facts)
        for rounds, colour in ((facts.baseline, OTHER), (facts.ours, OURS)):
            if rounds:
                scores = list(map(facts.score, rounds))
                plot_rounds(axes, rounds, cumulative(rounds), scores, colour)
        _target(axes, facts)
        _mark_pruned(axes, facts)
        _end(axes, facts, facts.ours, OURS, "FrugalFL", above=32 if facts.baseline else 12)
        if facts.baseline:
            _end(axes, facts, facts.baseline, OTHER, BASELINE_NAME, above=54)
        if facts.comparable:
            _ratio(axes, facts)

    label = f"{facts.drawn_title} against bytes. {comparison(facts)}"
    top = _TOP if facts.baseline else _TOP_ALONE
    return draw(
        f"accuracy-{width}", (width, 344 + top), label, paint, (_LEFT, _RIGHT, top, _BOTTOM)
    )


def _limits(axes: Axes, facts: Facts) -> None:
    series = [cumulative(rounds) for rounds in (facts.ours, facts.baseline) if rounds]
    low, high = byte_limits(min(x[0] for x in series), max(x[-1] for x in series))
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    byte_ticks(axes.xaxis, low, high)
    axes.set_xlabel("bytes so far, both directions (log scale)", labelpad=8)
    axes.set_ylabel(facts.drawn_title)
    every = map(facts.score, (*facts.ours, *facts.baseline))
    scores = [score for score in every if not math.isnan(score)]
    if scores:
        axes.set_ylim(*_around(facts, min(scores), max(scores)))
    score_ticks(axes.yaxis, facts)
    only_grid(axes)


def _around(facts: Facts, least: float, most: float) -> tuple[float, float]:
    """Return limits with some room: a share stays between 0 and 1, another measure has a scale."""
    if facts.shows_share:
        return max(min(0.0, least), least - 0.05), min(max(1.01, most), most + 0.05)
    room = 0.08 * (most - least) or 0.08 * abs(most) or 1.0
    return least - room, most + room


def _target(axes: Axes, facts: Facts) -> None:
    if math.isnan(facts.target):
        return
    axes.axhline(facts.target, color=MUTED, linestyle=(0, (5, 4)), linewidth=1.2, zorder=2)
    text = facts.score_text(facts.target)
    if axes.bbox.width > _ROOMY_PX:
        text = f"{'both reach' if facts.baseline else 'reaches'} {text}"
    annotate(axes, text, (0, facts.target), (4, 5), ("axes fraction", "data"), color=INK)


def _mark_pruned(axes: Axes, facts: Facts) -> None:
    """Mark the first round on the pruned model."""
    if not facts.recovered:
        return
    place = facts.ours.index(facts.recovered[0])
    point = (cumulative(facts.ours)[place], facts.score(facts.ours[place]))
    if math.isnan(point[1]):
        return
    axes.plot(
        *point, "D", color=OURS, markersize=8, markerfacecolor=PAPER, markeredgewidth=2, zorder=5
    )
    aside = 40 if axes.bbox.width > _ROOMY_PX else 0
    arrow = {"arrowstyle": "-", "color": OURS, "shrinkA": 2, "shrinkB": 5}
    style = {"ha": "center", "color": OURS, "zorder": 6, "arrowprops": arrow}
    annotate(axes, "pruned", point, (aside, -42), "data", **style)


def _end(
    axes: Axes, facts: Facts, rounds: Sequence[RoundRecord], colour: str, name: str, above: float
) -> None:
    """Lead from the last round up to the line's name and its bytes, above the axes."""
    x, y = cumulative(rounds)[-1], facts.score(rounds[-1])
    if math.isnan(y):
        return
    top = axes.transAxes.inverted().transform((0, axes.bbox.y1 + above + 10))[1]
    low = axes.transAxes.inverted().transform(axes.transData.transform((x, y)))[1]
    across = axes.get_xaxis_transform()
    style: dict[str, Any] = {"color": colour, "linewidth": 1, "zorder": 2, "clip_on": False}
    axes.plot([x, x], [low, top], transform=across, **style)
    text = f"{name}  {size_text(x)}"
    right = max(_from_left(axes, x) - 7, len(text) * _CHARACTER_PX - _LEFT)
    _above(axes, text, right, above, ha="right", color=colour, fontweight="bold")


def _ratio(axes: Axes, facts: Facts) -> None:
    """Span the two ends with an arrow that says how far apart they are."""
    ours, other = facts.total_bytes, facts.baseline_bytes
    arrow = {"arrowstyle": "<->", "color": MUTED, "shrinkA": 0, "shrinkB": 0}
    of = ("data", "axes fraction")
    axes.annotate("", (ours, 1), (other, 1), of, arrowprops=arrow, annotation_clip=False)
    text = less(ours, other, "fewer bytes")
    half = len(text) * _CHARACTER_PX / 2
    middle = (_from_left(axes, ours) + _from_left(axes, other)) / 2
    middle = min(max(middle, half), axes.bbox.width - half)
    _above(axes, text, middle, 10, ha="center", color=INK)


def _above(axes: Axes, text: str, x: float, y: float, **style: Any) -> None:
    """Write text so many px right of and above the axes' top left corner."""
    annotate(axes, text, (0, 1), (x, y), annotation_clip=False, **style)


def _from_left(axes: Axes, x: float) -> float:
    return float(axes.transData.transform((x, 0))[0] - axes.bbox.x0)
