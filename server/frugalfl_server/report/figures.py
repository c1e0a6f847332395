"""The figures of a report: large ones drawn twice, for a wide page and a phone, and panels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from frugalfl.text import for_file_name
from frugalfl_server.report.accuracy_figure import accuracy_figure
from frugalfl_server.report.by_round import round_panels
from frugalfl_server.report.confusion_figure import confusion_panels
from frugalfl_server.report.energy_figure import energy_figure
from frugalfl_server.report.joules_figure import has_joules, joules_figure
from frugalfl_server.report.panels import Panel
from frugalfl_server.report.run_facts import Facts
from frugalfl_server.report.sheet import svg_link
from frugalfl_server.report.spread_figure import spread_panels
from frugalfl_server.report.svg import as_file
from frugalfl_server.report.traffic_figure import traffic_figure

#: Width in px of the two drawings; the style sheet shows one of them.
_WIDE, _NARROW = 920, 350
#: The order of the figures on the page.
_ORDER = ("accuracy", "rounds", "outcomes", "traffic", "energy", "joules")


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        number: On the page, from 1.
        wide: An ``<svg>`` element; empty if there are panels.
        narrow: Likewise, for a phone.
        panels: Small drawings side by side; empty if there is a large one.
        downloads: Name of each drawing as a file of its own, and a link that holds it.
    """

    number: int
    wide: str
    narrow: str
    panels: tuple[Panel, ...]
    downloads: tuple[tuple[str, str], ...]


def figures(facts: Facts) -> dict[str, Figure]:
    """Draw those figures, by name, that the run has data for."""
    large = {name: (paint(facts, _WIDE), paint(facts, _NARROW))
             for name, paint in _painters(facts).items()}  # fmt: skip
    small = {name: panels for name, panels in _panels(facts).items() if panels}
    names = [name for name in _ORDER if name in large or name in small]
    return {
        name: _figure(
            number, _file_name(facts, name), large.get(name, ("", "")), small.get(name, [])
        )
        for number, name in enumerate(names, start=1)
    }


def _painters(facts: Facts) -> dict[str, Callable[[Facts, int], str]]:
    painters: dict[str, Callable[[Facts, int], str]] = {}
    if facts.done:
        painters |= {"accuracy": accuracy_figure, "traffic": traffic_figure}
    if facts.joule_phases:
        painters["energy"] = energy_figure
    if facts.ours and has_joules(facts):
        painters["joules"] = joules_figure
    return painters


def _panels(facts: Facts) -> dict[str, list[Panel]]:
    said = facts.outcomes
    outcomes = [] if said is None else [*confusion_panels(said), *spread_panels(said)]
    return {"rounds": round_panels(facts), "outcomes": outcomes}


def _file_name(facts: Facts, name: str) -> str:
    """Return what a figure is called as a file: a curve after the measure that it shows."""
    along = {"accuracy": "by-bytes", "joules": "by-joules"}.get(name)
    return for_file_name(f"{facts.drawn} {along}") if along else name


def _figure(number: int, name: str, large: tuple[str, str], panels: list[Panel]) -> Figure:
    drawings = [(one.name, one.svg) for one in panels] or [(name, large[0])]
    downloads = tuple((title, svg_link(as_file(svg))) for title, svg in drawings)
    return Figure(number, *large, tuple(panels), downloads)
