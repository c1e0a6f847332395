"""``frugalfl report``: look at a run again, or at several beside one another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from frugalfl.help import epilog

command = typer.Typer(rich_markup_mode="markdown", add_completion=False)

_EPILOG = """
Examples:

- frugalfl report runs/latest

- frugalfl report runs/A runs/B runs/C (which differ in their seed)
"""


@command.command(epilog=epilog(_EPILOG))
def report(
    runs: Annotated[
        list[Path],
        typer.Argument(help="A run directory, such as runs/latest; or several.", metavar="RUN..."),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures of summary.json, computed anew.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Of several runs: the page, by default seeds.html beside the first."),
    ] = None,
) -> None:
    """Write report.html anew from the run's tables, and print the summary.

    Of several runs, write one page with mean and band by round.
    """
    from frugalfl.errors import UsageError
    from frugalfl_server.report import write_comparison, write_report
    from frugalfl_server.report.terminal import print_summary
    from frugalfl_server.run.newest import open_newest
    from frugalfl_server.run.summary import of_run

    if out is not None and (len(runs) == 1 or as_json):
        raise UsageError("--out is of the page of several runs; one run's page is its report.html")
    if as_json:
        opened = [open_newest(run) for run in runs]
        found = [of_run(one, *one.status()) for one in opened]
        typer.echo(json.dumps(found[0] if len(found) == 1 else found, indent=2))
    elif len(runs) > 1:
        typer.echo(f"report  {write_comparison(runs, out)}")
    else:
        run = open_newest(runs[0])
        write_report(run)
        print_summary(run)
