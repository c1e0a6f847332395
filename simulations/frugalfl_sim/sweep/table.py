"""The comparison of a sweep as a terminal, a page and JSON have it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from frugalfl.metrics import number
from frugalfl.sizes import size_text
from frugalfl.text import MOST_OF_A_LINE, printable
from frugalfl_server.report.texts import joules, measure_title, percent
from frugalfl_sim.sweep.figures import (
    Group,
    Outcome,
    Spread,
    cost_title,
    grouped,
    joules_of,
    mean_of,
    pareto,
)

_WIDTH = 110


def header(outcomes: Sequence[Outcome], groups: Sequence[Group], target: float | None) -> list[str]:
    """Return the names of the columns: the settings that vary, then figures."""
    measure = next(one.measure for one in outcomes if one.measure)
    return [
        *varying(groups), "runs", measure_title(measure), "up", "down", "energy", "seconds",
        *([] if target is None else [f"rounds to {target:g}"]),
    ]  # fmt: skip


def rows(
    outcomes: Sequence[Outcome], groups: Sequence[Group], target: float | None
) -> list[list[str]]:
    """Return the cells, a row for each group."""
    measure = next(one.measure for one in outcomes if one.measure)
    shown: Callable[[float | None], str] = percent if measure == "accuracy" else number
    return [
        [
            *(dict(group.changes)[key] for key in varying(groups)),
            f"{group.runs}" + (f", {group.failed} failed" if group.failed else ""),
            _range(group.figures["value"], shown),
            _range(group.figures["uplink_bytes"], size_text),
            _range(group.figures["downlink_bytes"], size_text),
            _energy(group),
            _range(group.figures["seconds"], "{:.1f}".format),
            *([] if target is None else [_range(group.figures["rounds_to_target"], "{:g}".format)]),
        ]
        for group in groups
    ]


def varying(groups: Sequence[Group]) -> list[str]:
    """Return the keys in which groups differ."""
    return [key for key, _ in groups[0].changes]


def print_table(outcomes: Sequence[Outcome], target: float | None) -> None:
    """Print it, then the settings that no other one beats."""
    console = Console(highlight=False, width=max(_WIDTH, Console().width))
    groups = grouped(outcomes)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in header(outcomes, groups, target):
        table.add_column(Text(name), justify="left" if name in varying(groups) else "right")
    for cells in rows(outcomes, groups, target):
        table.add_row(*map(_cell, cells))
    console.print(table)
    console.print(Text(CAPTION, style="dim"))
    for cost, places in fronts(outcomes, groups).items():
        best = "; ".join(groups[place].label for place in places)
        console.print(
            Text(f"Not beaten in {cost_title(cost, groups)}: {best or '–'}"), soft_wrap=True
        )


CAPTION = (
    "Mean over seeds [least–most]. Energy: of all clients, above idle. Seconds: of the rounds. "
    "A dash: not known."
)


def fronts(outcomes: Sequence[Outcome], groups: Sequence[Group]) -> dict[str, list[int]]:
    """Return the Pareto fronts, as places of groups, by what they cost."""
    better = next(one.better for one in outcomes if one.better)
    return {
        "bytes": pareto(groups, lambda group: mean_of(group, "bytes"), better),
        "joules": pareto(groups, joules_of, better),
    }


def as_json(outcomes: Sequence[Outcome], target: float | None) -> dict[str, Any]:
    """Return all of it for programs."""
    groups = grouped(outcomes)
    first = next(one for one in outcomes if one.measure)
    return {
        "measure": first.measure,
        "better": first.better,
        "target": target,
        "runs": [
            {
                "settings": dict(one.point.changes),
                "run": None if one.run is None else str(one.run),
                "failed": one.reason or None,
                **one.figures,
            }
            for one in outcomes
        ],
        "table": [
            {
                "settings": dict(group.changes), "runs": group.runs, "failed": group.failed,
                **{name: None if s is None else asdict(s) for name, s in group.figures.items()},
            }
            for group in groups
        ],
        "not_beaten": {
            cost: [dict(groups[place].changes) for place in places]
            for cost, places in fronts(outcomes, groups).items()
        },
    }  # fmt: skip


def _cell(text: str) -> Text:
    return Text("\n".join(printable(line, MOST_OF_A_LINE) for line in text.split("\n")))


def _range(spread: Spread | None, shown: Callable[[float], str]) -> str:
    if spread is None:
        return "–"
    if spread.least == spread.most:
        return shown(spread.mean)
    return f"{shown(spread.mean)}\n[{shown(spread.least)} – {shown(spread.most)}]"


def _energy(group: Group) -> str:
    kinds = ("measured", "estimated")
    known = [(kind, group.figures[f"{kind}_j"]) for kind in kinds]
    return "\n".join(f"{_range(s, joules)} {kind}" for kind, s in known if s is not None) or "–"
