"""The headline figures on a terminal, and where the files are."""

from __future__ import annotations

from rich.box import ROUNDED
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from frugalfl.text import MOST_OF_A_LINE, printable
from frugalfl_server.report.headlines import headlines, missing, status
from frugalfl_server.report.run_facts import TREES, Facts, read_facts
from frugalfl_server.run.directory import RunDirectory, blaming

_WIDTH = 80
_FILES = (
    ("model", "model/model_int8.tflite"),
    ("C sources", "model/model_data.c"),
    ("trees", TREES),
    ("report", "report.html"),
    ("energy ledgers", "devices"),
    ("energy table", "energy.parquet"),
)


def print_summary(run: RunDirectory) -> None:
    """Print a boxed summary on standard output, then one path a line; plain lines into a pipe.

    Raises:
        RunError: A file of the run is damaged.
    """
    console = Console(highlight=False)
    with blaming(run.path):
        facts = read_facts(run)
        if console.is_terminal:
            _print_box(console, facts)
        else:
            _print_lines(console, facts)
    for name, path in _FILES:
        if (run.path / path).exists():
            _print_line(console, f"{name:<16}{run.path / path}")


def _print_box(console: Console, facts: Facts) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(style="bold")
    table.add_column(style="dim")
    for one in headlines(facts):
        table.add_row(_text(one.name), _text(one.value), _text(one.note))
    console.print(_text(status(facts)))
    console.print(
        Panel(
            table, title=_text(facts.run.name), title_align="left", box=ROUNDED, expand=False,
            width=min(_WIDTH, console.width),
        )
    )  # fmt: skip
    for note in missing(facts):
        console.print(_text(note), style="dim")


def _print_lines(console: Console, facts: Facts) -> None:
    _print_line(console, f"{facts.run.name}  {status(facts)}")
    for one in headlines(facts):
        _print_line(console, f"{one.name:<16}  {one.value}  ({one.note})")
    for note in missing(facts):
        _print_line(console, note)


def _print_line(console: Console, text: str) -> None:
    console.print(_text(text), soft_wrap=True)


def _text(text: str) -> Text:
    """Return a text of the run's files, which may be anybody's, as it can be shown."""
    return Text(printable(text, MOST_OF_A_LINE))
