"""The summary of a run on the terminal: a table, then the paths."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from frugalfl_server.report.facts import headlines, status_line
from frugalfl_server.run_directory import RunDirectory


def print_summary(run: RunDirectory) -> None:
    """Print the run's figures, and where its files are, on standard output."""
    summary = run.read_json("summary.json")
    console = Console(highlight=False)
    table = Table(box=box.ROUNDED, show_header=False, title=escape(run.name), title_justify="left")
    for name, value, beside in headlines(summary):
        table.add_row(name, f"[bold]{escape(value)}[/bold]", f"[dim]{escape(beside)}[/dim]")
    if sentence := status_line(summary):
        console.print(sentence, markup=False, style="yellow", soft_wrap=True)
    console.print(table)
    for what, place in _files(run):
        console.print(f"{what:<16} {place}", markup=False, soft_wrap=True)


def _files(run: RunDirectory) -> list[tuple[str, str]]:
    wanted = (
        ("model", "model/model_int8.tflite"),
        ("C sources", "model/model_data.c"),
        ("report", "report.html"),
        ("energy ledger", "energy.parquet"),
        ("device ledgers", "devices"),
    )
    return [(what, str(run.path / name)) for what, name in wanted if (run.path / name).exists()]
