"""``frugalfl simulate``: a whole federation in one process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from frugalfl.errors import UsageError

command = typer.Typer(rich_markup_mode="markdown", add_completion=False)

_EPILOG = """
Examples:

- frugalfl simulate simulations/digits

- frugalfl simulate simulations/digits rounds=10 'uplink=feedback | topk(2%) | sign | golomb'

- frugalfl simulate simulations/digits --baseline --json > summary.json

- frugalfl simulate simulations/digits start-from=runs/latest rounds=0 flash=8KiB

- frugalfl simulate --resume latest
"""


@command.command(epilog=_EPILOG)
def simulate(
    app: Annotated[
        str | None,
        typer.Argument(
            help="Folder of a Flower app: pyproject.toml and task.py; with --resume the run's own."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...", help="Settings to change, as in the app's config."
        ),
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder that the run directory goes into.")] = Path(
        "runs"
    ),
    baseline: Annotated[
        bool,
        typer.Option(
            "--baseline", help="Also run Flower's stock FedAvg in float32, same seed and rounds."
        ),
    ] = False,
    slim: Annotated[
        bool,
        typer.Option(
            "--slim", help="Also train the pruned model's architecture from scratch, as long."
        ),
    ] = False,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Go on with a run that was stopped; **latest** is the newest one in --runs.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as JSON on standard output.")
    ] = False,
) -> None:
    """Simulate a federation on this machine: train, prune, export to int8, report.

    Every client is a real Flower ClientApp with its own disk; the frames that travel are counted
    byte by byte. A run directory keeps everything; **runs/latest** points at the newest. A run that
    was stopped or killed at any moment goes on with **--resume**, to the same bits.
    """
    from frugalfl_sim.apps import read_settings

    # Before the heavy imports: a typing mistake is answered at once.
    if resume is None:
        if app is None:
            raise UsageError("name the folder of a Flower app, such as simulations/digits")
        folder, checked = Path(app), read_settings(Path(app), settings or [])
    else:
        from frugalfl_server.which_run import found, named

        resume = found(resume, runs)
        folder, checked = named(resume, app, settings or [])

    from frugalfl_sim.simulate import simulate_app

    run = simulate_app(folder, checked, runs, baseline, slim, resume)
    summary = run.read_json("summary.json")
    if as_json:
        typer.echo(json.dumps(summary, indent=2))
    else:
        from frugalfl_server.report.terminal import print_summary

        print_summary(run)
