"""``frugalfl runs``: what runs there are, and how they compare."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table
    from rich.text import Text

    from frugalfl_server.run.run_list import Listed

from frugalfl.help import epilog

command = typer.Typer(rich_markup_mode="markdown", add_completion=False)

_EPILOG = """
Examples:

- frugalfl runs

- frugalfl runs runs/20261121-130044-digits runs/latest --json
"""
#: Most columns of a table into a pipe, or a file.
_WIDE = 100
#: Columns that no table has.
_ANY = 10_000
_DIFFER = "settings that differ"
_TITLES = ("run", "status", "measure", "int8", "bytes", "energy", "file")


@command.command(epilog=epilog(_EPILOG))
def runs(
    places: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DIR]...", help="A folder of runs, or runs; by default runs."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a list of objects with all settings.")
    ] = False,
) -> None:
    """List runs, the oldest first: what they reached, what it cost, and in what they differ.

    Settings that are the same in all runs of a task are left out.
    """
    from frugalfl_server.run.run_list import list_runs

    listed = list_runs(places or [Path("runs")])
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in listed], indent=2))
        return
    _print(listed)


def _print(listed: Sequence[Listed]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDE
    names = _differing_by_task(listed)
    rows = [[*_figures(one), _settings(one, names[one.task])] for one in listed]
    whole = _table((*_TITLES, _DIFFER if any(row[-1] for row in rows) else ""), rows)
    if console.measure(whole, options=console.options.update(width=_ANY)).maximum <= console.width:
        console.print(whole)
    else:
        console.print(_table(_TITLES, [row[:-1] for row in rows]), "")
        console.print(_table(("run", _DIFFER), [[row[0], row[-1]] for row in rows if row[-1]]))
    for one in listed:
        if not one.settings:
            console.print(_text(f"{one.run} is damaged: {one.reason}"), soft_wrap=True)


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in titles:
        table.add_column(title, no_wrap=title == "run")
    for cells in rows:
        table.add_row(*map(_text, cells))
    return table


def _text(text: str) -> Text:
    """Return a text of the runs' files, which may be anybody's, as it can be shown."""
    from rich.text import Text

    from frugalfl.text import MOST_OF_A_LINE, printable

    return Text(printable(text, MOST_OF_A_LINE))


def _figures(one: Listed) -> list[str]:
    from frugalfl.metrics import number, words
    from frugalfl.sizes import size_text
    from frugalfl_server.report.texts import energy, percent

    shown = percent if one.measure == "accuracy" else number
    size, sent = one.int8_bytes, one.bytes
    return [
        one.run,
        one.status,
        f"{words(one.measure)} {shown(one.value)}" if one.measure else "–",
        shown(one.value_int8),
        "–" if sent is None else size_text(sent),
        energy(one.energy_j) if one.energy_j else "–",
        "–" if size is None else size_text(size),
    ]


def _differing_by_task(listed: Sequence[Listed]) -> dict[str | None, list[str]]:
    """Return the settings in which the runs of each task differ."""
    from frugalfl_server.run.run_list import differing

    tasks = {one.task for one in listed}
    return {task: differing([one for one in listed if one.task == task]) for task in tasks}


def _settings(one: Listed, names: Sequence[str]) -> str:
    """Return the settings of a run by which it can be told from others of its task."""
    if not one.settings:
        return ""
    known: dict[str, Any] = {name: one.followed.get(name, "–") for name in names}
    return "  ".join(f"{name}={value}" for name, value in known.items())
