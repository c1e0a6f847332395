"""Figure 4: accuracy, or the task's first metric, against the clients' joules so far."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from frugalfl_server.report.headlines import BASELINE_NAME
from frugalfl_server.report.marks import plot_rounds
from frugalfl_server.report.run_facts import Facts
from frugalfl_server.report.svg import GRID, INK, OTHER, OURS, draw
from frugalfl_server.report.texts import energy
from frugalfl_server.report.ticks import only_grid, score_ticks
from frugalfl_server.run.records import RoundRecord

_LEFT, _RIGHT, _TOP, _BOTTOM = 74, 16, 40, 50
_STYLES: dict[str, Any] = {"measured": "-", "estimated": (0, (4, 2))}


def has_joules(facts: Facts) -> bool:
    """Whether any round's joules are known."""
    return any(_kinds(rounds) for rounds in (facts.ours, facts.baseline))


def joules_figure(facts: Facts, width: int) -> str:
    """Draw it as SVG, so many px wide."""
    wide = width > 600

    def paint(axes: Axes) -> None:
        lines = []
        for rounds, colour, name in (
            (facts.ours, OURS, "FrugalFL"),
            (facts.baseline, OTHER, BASELINE_NAME),
        ):
            for kind in _kinds(rounds):
                _line(axes, facts, rounds, kind, colour)
                style = _STYLES[kind]
                lines.append(Line2D([], [], color=colour, linestyle=style, label=f"{name}, {kind}"))
        axes.set_xlim(left=0)
        axes.set_xlabel("joules of all clients so far, above idle", labelpad=8)
        axes.set_ylabel(facts.drawn_title)
        axes.xaxis.set_major_locator(MaxNLocator(8 if wide else 4, min_n_ticks=2))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} J"))
        score_ticks(axes.yaxis, facts)
        only_grid(axes)
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        axes.legend(
            handles=lines, loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0.4,
            ncols=len(lines) if wide else 1, frameon=False, labelcolor=INK, borderpad=0,
        )  # fmt: skip

    last = facts.score_text(facts.score(facts.ours[-1]))
    ended = f"{last} after {energy(facts.summary['energy_j'])}"
    top = _TOP if wide else _TOP + 22
    label, margins = f"{facts.drawn_title} against joules: {ended}", (_LEFT, _RIGHT, top, _BOTTOM)
    return draw(f"joules-{width}", (width, 320 + top), label, paint, margins)


def _kinds(rounds: Sequence[RoundRecord]) -> list[str]:
    """Return the kinds of joules that are known of these rounds; each gets a line of its own."""
    kinds = {
        "measured": [record.energy_measured_j for record in rounds],
        "estimated": [record.energy_estimated_j for record in rounds],
    }
    return [kind for kind, values in kinds.items() if any(value for value in values)]


def _line(axes: Axes, facts: Facts, rounds: Sequence[RoundRecord], kind: str, colour: str) -> None:
    name = f"energy_{kind}_j"
    x = list(accumulate(getattr(record, name) or 0.0 for record in rounds))
    y = list(map(facts.score, rounds))
    plot_rounds(axes, rounds, x, y, colour, _STYLES[kind])
