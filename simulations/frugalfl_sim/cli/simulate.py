"""``frugalfl simulate``: a whole federation in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from frugalfl.help import epilog
from frugalfl.termination import ending_like_ctrl_c
from frugalfl_server.cli.options import App, AsJson, Changes, Resume, Runs, show
from frugalfl_sim import door

command = typer.Typer(rich_markup_mode="markdown", add_completion=False)

_EPILOG = """
Examples:

- frugalfl simulate digits

- frugalfl simulate digits rounds=10 'uplink=feedback | topk(2%) | sign | golomb'

- frugalfl simulate digits --baseline --json > summary.json

- frugalfl simulate digits start-from=runs/latest rounds=0 flash=8KiB

- frugalfl simulate --resume latest
"""


@command.command(epilog=epilog(_EPILOG))
def simulate(
    app: App = None,
    settings: Changes = None,
    runs: Runs = Path("runs"),
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
    resume: Resume = None,
    as_json: AsJson = False,
) -> None:
    """Simulate a federation on this machine: train, prune, export to int8, report.

    Every client is a real Flower ClientApp with its own disk; the frames that travel are counted
    byte by byte. A run directory keeps everything; **runs/latest** points at the newest. A run that
    was stopped or killed at any moment goes on with **--resume**, to the same bits.
    """
    with ending_like_ctrl_c():
        run = door.simulate(
            app, *(settings or ()), runs=runs, baseline=baseline, slim=slim, resume=resume
        )
    show(run.path, as_json)
