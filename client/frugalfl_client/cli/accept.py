"""``frugalfl accept``: let an app or a training program run on this device that it refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from frugalfl.approved import is_digest
from frugalfl.errors import UsageError
from frugalfl.help import epilog
from frugalfl.text import MOST_OF_A_LINE, printable

command = typer.Typer(rich_markup_mode="markdown", add_completion=False)

_EPILOG = """
Examples:

- frugalfl accept --state-dir ~/.frugalfl/client-0
  (lists what was refused here)

- frugalfl accept 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 --state-dir
  ~/.frugalfl/client-0

Accept what you expected: ask whoever runs the server which app or setting changed, and compare the
hash with the one that frugalfl approve prints there. The node may go on running; it looks again at
the next message. To take everything back, delete accepted.json in that folder.
"""


@command.command(epilog=epilog(_EPILOG))
def accept(
    state_dir: Annotated[
        Path,
        typer.Option(metavar="FOLDER", help="The device's folder, as the refusal names it."),
    ],
    digest: Annotated[
        str | None,
        typer.Argument(metavar="[HASH]", help="64 digits, as the refusal names them; without it, "
                       "what was refused is listed."),
    ] = None,
) -> None:  # fmt: skip
    """Let an app or a training program run on this device that its node refused."""
    from frugalfl_client.pins import Pins

    if not state_dir.is_dir():
        raise UsageError(f"--state-dir {state_dir} is no folder; the refusal names the device's")
    pins = Pins(state_dir.absolute())
    refused = pins.refused
    if digest is None:
        for known, what in refused.items():
            typer.echo(printable(f"{known}  {what}", MOST_OF_A_LINE))
        if not refused:
            typer.echo(f"nothing was refused in {state_dir}")
        return
    if not is_digest(digest):
        raise UsageError(f"{digest!r} is no SHA-256: write its 64 digits, in lower case")
    pins.accept(digest)
    what = refused.get(digest, "what was not refused here so far")
    typer.echo(printable(f"accepted: {what}", MOST_OF_A_LINE))
