"""The figures of a report, each drawn twice: for a wide page and for a phone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from frugalfl_server.report.accuracy_figure import accuracy_figure
from frugalfl_server.report.energy_figure import energy_figure
from frugalfl_server.report.facts import Facts
from frugalfl_server.report.joules import phases_of
from frugalfl_server.report.joules_figure import has_joules, joules_figure
from frugalfl_server.report.traffic_figure import traffic_figure

#: Width in px of the two drawings; the style sheet shows one of them.
_WIDE, _NARROW = 920, 350


@dataclass(frozen=True)
class Drawings:
    """One figure as two ``<svg>`` elements."""

    wide: str
    narrow: str


def figures(facts: Facts) -> dict[str, Drawings]:
    """Draw those figures, by name, that the run has data for."""
    painters: dict[str, Callable[[Facts, int], str]] = {}
    if facts.done:
        painters |= {"accuracy": accuracy_figure, "traffic": traffic_figure}
    if phases_of(facts.run.energy):
        painters["energy"] = energy_figure
    if facts.ours and has_joules(facts):
        painters["joules"] = joules_figure
    return {
        name: Drawings(wide=paint(facts, _WIDE), narrow=paint(facts, _NARROW))
        for name, paint in painters.items()
    }
