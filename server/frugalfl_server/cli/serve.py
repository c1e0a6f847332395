"""``frugalfl serve``: a federation with the devices that connect."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from frugalfl.errors import UsageError

command = typer.Typer(rich_markup_mode="markdown", add_completion=False)

_EPILOG = """
Examples:

- frugalfl serve simulations/digits --tls certificates --nodes keys

- frugalfl serve simulations/digits clients-per-round=2 round-deadline=60 quorum=0.5 --insecure

- frugalfl serve --resume latest --tls certificates --nodes keys
"""


@command.command(epilog=_EPILOG)
def serve(
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
    tls: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder with ca.crt, server.pem and server.key."),
    ] = None,
    nodes: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Folder with public keys, *.pub: only their nodes may join."
        ),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="No TLS: for this machine or a network you trust.")
    ] = False,
    host: Annotated[
        str | None,
        typer.Option(
            help="Address to listen on; all with TLS, 127.0.0.1 without.", show_default=False
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="Port for nodes.", min=1, max=65535)] = 8000,
    superlink: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT", help="Use the SuperLink that runs there, on this machine."
        ),
    ] = "",
    runs: Annotated[Path, typer.Option(help="Folder that the run directory goes into.")] = Path(
        "runs"
    ),
    state: Annotated[
        Path, typer.Option(help="Folder for the SuperLink's database, keys and logs.")
    ] = Path("superlink"),
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
    """Run a federation with the devices that connect: train, prune, export to int8, report.

    Starts Flower's SuperLink, runs the app's ServerApp on it, shows its progress, and ends with the
    run. Rounds begin once **clients-per-round** nodes are connected: `frugalfl node` on a device,
    or Flower's own `flower-supernode`. A SuperLink that dies is started again; a run that was
    stopped in any way goes on with **--resume**. docs/serve.md has the whole of it.
    """
    from frugalfl_server.apps import read_settings
    from frugalfl_server.serve.processes import Tls

    if insecure == (tls is not None):
        raise UsageError(
            "say how nodes connect: --tls FOLDER with certificates, or --insecure without any"
        )
    if nodes is not None and insecure:
        raise UsageError("--nodes needs --tls: Flower checks keys over TLS only")
    if nodes is not None and not list(nodes.glob("*.pub")):
        raise UsageError(f"there is no public key (*.pub) in {nodes}: no node could join")
    found = None if tls is None else Tls.of(tls)
    if resume is None:
        if app is None:
            raise UsageError("name the folder of a Flower app, such as simulations/digits")
        folder, checked = Path(app), read_settings(Path(app), settings or [])
    else:
        from frugalfl_server.which_run import found as found_run
        from frugalfl_server.which_run import named

        resume = found_run(resume, runs)
        folder, checked = named(resume, app, settings or [])

    from frugalfl_server.serve.serve import Place, serve_app

    place = Place(
        host or ("127.0.0.1" if insecure else "0.0.0.0"), port, found, nodes, superlink, state
    )  # fmt: skip
    run = serve_app(
        folder, checked, runs, resume, place, lambda line: typer.echo(line, err=True)
    )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(run.read_json("summary.json"), indent=2))
    else:
        from frugalfl_server.report.terminal import print_summary

        print_summary(run)
