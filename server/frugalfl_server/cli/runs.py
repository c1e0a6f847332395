"""``frugalfl runs``: what runs there are, and how they compare."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

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

    Settings that are the same in all of them are left out.
    """
    from frugalfl_server.run.run_list import differing, list_runs

    listed = list_runs(places or [Path("runs")])
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in listed], indent=2))
        return
    _print(listed, differing(listed))


def _print(listed: Sequence[Listed], names: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from frugalfl.text import MOST_OF_A_LINE, printable

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDE

    def table_of(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for title in titles:
            table.add_column(title, no_wrap=title == "run")
        for cells in rows:
            table.add_row(*(Text(printable(cell, MOST_OF_A_LINE)) for cell in cells))
        return table

    figures = [_figures(one) for one in listed]
    settings = [_settings(one, names) for one in listed]
    last = "settings that differ" if names else ""
    beside = [[*row, said] for row, said in zip(figures, settings, strict=True)]
    whole = table_of((*_TITLES, last), beside)
    if console.measure(whole).maximum <= console.width:
        console.print(whole)
        return
    console.print(table_of(_TITLES, figures))
    below = [[row[0], said] for row, said in zip(figures, settings, strict=True) if said]
    console.print("", table_of(("run", last or "reason"), below))


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


def _settings(one: Listed, names: Sequence[str]) -> str:
    """Return the settings of a run by which it can be told from the others, or why it failed."""
    known: dict[str, Any] = {name: one.settings.get(name, "–") for name in names}
    if not one.settings:
        return one.reason or ""
    return "  ".join(f"{name}={value}" for name, value in known.items())
