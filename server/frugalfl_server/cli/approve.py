"""``frugalfl approve``: what devices have to run for an app, as a list for their owners."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from frugalfl.errors import UsageError
from frugalfl.help import epilog
from frugalfl_server.cli.options import Changes

command = typer.Typer(rich_markup_mode="markdown", add_completion=False)

_EPILOG = """
On the device: `frugalfl node --approved approved.json ...`, or with Flower's own node
`--node-config 'approved="/etc/frugalfl/approved.json" ...'`.

Examples:

- frugalfl approve digits

- frugalfl approve my-app refresh=full strategy='fedprox(0.1)' --out my-app.json
"""


@command.command(epilog=epilog(_EPILOG))
def approve(
    app: Annotated[
        Path, typer.Argument(help="Folder of a Flower app: pyproject.toml and task.py.")
    ],
    settings: Changes = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write the list.")] = Path(
        "approved.json"
    ),
) -> None:
    """Write the list of what a device runs for an app: its bundle, and its training programs.

    Read the app's files first: the list says that **you** have. Packs the app exactly as `frugalfl
    serve` and as `flwr run` send it, compiles every training program that clients without PyTorch
    can get with these settings (all refresh plans, before and after pruning), and writes their
    SHA-256 hashes. Use the FrugalFL version, the packages and the settings of the server: same app,
    same versions, same bytes. A device with the list runs nothing else, whatever its server sends.
    """
    from frugalfl.approved import to_text
    from frugalfl_server.run.app_directory import read_settings

    checked = read_settings(app, settings or [])
    if not out.absolute().parent.is_dir():
        raise UsageError(f"--out {out}: there is no folder {out.absolute().parent}")

    from frugalfl_server.serve.approve import approve as approved_of
    from frugalfl_server.serve.lines import show_lines

    with show_lines(typer.echo):
        approved = approved_of(app, checked)
    out.write_text(to_text(approved), encoding="utf-8")
    typer.echo(
        f"{out}: {len(approved.apps)} app bundles, {len(approved.programs)} training programs"
    )
