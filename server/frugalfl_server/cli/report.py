"""``frugalfl report``: look at a run again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

command = typer.Typer(add_completion=False)


@command.command(epilog="Example: frugalfl report runs/latest")
def report(
    run: Annotated[Path, typer.Argument(help="A run directory, such as runs/latest.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures of summary.json, computed anew.")
    ] = False,
) -> None:
    """Write report.html anew from the run's tables, and print the summary."""
    from frugalfl_server.report import write_report
    from frugalfl_server.report.terminal import print_summary
    from frugalfl_server.run_directory import RunDirectory
    from frugalfl_server.summary import of_run

    opened = RunDirectory.open(run)
    if as_json:
        typer.echo(json.dumps(of_run(opened, *opened.status()), indent=2))
        return
    write_report(opened)
    print_summary(opened)
