"""``frugalfl serve``: a federation with the devices that connect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from frugalfl.errors import UsageError
from frugalfl.help import epilog
from frugalfl.termination import ending_like_ctrl_c
from frugalfl.text import MOST_OF_A_LINE, printable
from frugalfl_server.cli.options import App, AsJson, Changes, Resume, Runs, chosen, show

command = typer.Typer(rich_markup_mode="markdown", add_completion=False)

_EPILOG = """
Examples:

- frugalfl serve digits --tls certificates --nodes keys

- frugalfl serve digits clients-per-round=2 round-deadline=60 quorum=0.5 --insecure

- frugalfl serve --resume latest --tls certificates --nodes keys
"""


@command.command(epilog=epilog(_EPILOG))
def serve(
    app: App = None,
    settings: Changes = None,
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
    per_address: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            max=512,
            help="Most connections of one address that show no node's key. More devices behind one "
            "address than that may all be connected; fewer than that may connect at one moment.",
        ),
    ] = 128,
    superlink: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT", help="Use the SuperLink that runs there, on this machine."
        ),
    ] = "",
    runs: Runs = Path("runs"),
    state: Annotated[
        Path, typer.Option(help="Folder for the SuperLink's database, keys and logs.")
    ] = Path("superlink"),
    resume: Resume = None,
    as_json: AsJson = False,
) -> None:
    """Run a federation with the devices that connect: train, prune, export to int8, report.

    Starts Flower's SuperLink, runs the app's ServerApp on it, shows its progress, and ends with the
    run. Rounds begin once **clients-per-round** nodes are connected: `frugalfl node` on a device,
    or Flower's own `flower-supernode`. A SuperLink that dies is started again; a run that was
    stopped in any way goes on with **--resume**. docs/serve.md has the whole of it.
    """
    from frugalfl_server.serve.front.limits import FrontLimits
    from frugalfl_server.serve.place import Place
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
    folder, checked, resume = chosen(app, settings, resume, runs)

    where = host or ("127.0.0.1" if insecure else "0.0.0.0")
    place = Place(where, port, FrontLimits(per_address=per_address), found, nodes, superlink, state)
    place.check()

    from frugalfl_server.serve.lines import show_lines
    from frugalfl_server.serve.serve import serve_app

    with show_lines(_show_line), ending_like_ctrl_c():
        run = serve_app(folder, checked, runs, resume, place)
    show(run.path, as_json)


def _show_line(line: str) -> None:
    """Print a line; much of it is what the SuperLink and the devices say."""
    typer.echo(printable(line, MOST_OF_A_LINE), err=True)
