"""``frugalfl new``: an app to begin with, made of one of the templates that come along."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from frugalfl.atomic import write_atomically
from frugalfl.errors import UsageError
from frugalfl.help import epilog

command = typer.Typer(rich_markup_mode="markdown", add_completion=False)

#: What each template is for; its files are in a folder of that name under ``templates``.
TEMPLATES = {
    "classify": "images of ten classes: handwritten digits",
    "regress": "a value, in its unit: the power that a pump draws",
    "anomaly": "what is unusual: an autoencoder of healthy vibration",
    "sensor": "states of a machine, in windows of CSV or Parquet recordings",
    "fraud": "rare cases, ranked: card payments over the branches of a bank",
}
_FOLDER = Path(__file__).with_name("templates")
#: What stands for the app's name in the files of a template.
_NAME = "__NAME__"
_EPILOG = f"""
Templates:

{chr(10).join(f"- **{name}**: {what}" for name, what in TEMPLATES.items())}

Examples:

- frugalfl new digits

- frugalfl new pumps --template sensor
"""


@command.command(epilog=epilog(_EPILOG))
def new(
    name: Annotated[str, typer.Argument(help="Folder to make; its last part names the app.")],
    template: Annotated[
        str, typer.Option(help=f"What to begin with: {', '.join(TEMPLATES)}.")
    ] = "classify",
) -> None:
    """Write an app to begin with: its settings, and a task with data to replace by yours."""
    folder = Path(name)
    for file in write_app(folder, template):
        typer.echo(f"wrote {file}")
    typer.echo(f"now: frugalfl simulate {folder}")


def write_app(folder: Path, template: str) -> list[Path]:
    """Write the files of a template, under the name of the folder.

    Args:
        folder: To be made; it may be there if it is empty.
        template: One of :data:`TEMPLATES`.

    Returns:
        What was written.

    Raises:
        UsageError: There is no such template, something is in the folder already, or its name
            cannot be an app's.
    """
    if template not in TEMPLATES:
        raise UsageError(f"no template {template!r}; take one of {', '.join(TEMPLATES)}")
    name = folder.absolute().name
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise UsageError(
            f"an app cannot be called {name!r}: letters, digits, - and _, a letter first"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already; take another name, or move it away first")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for file in sorted(_FOLDER.joinpath(template).iterdir()):
        if file.suffix in (".py", ".toml"):  # and no cache of Python's
            text = file.read_text(encoding="utf-8").replace(_NAME, name.replace("_", "-"))
            write_atomically(folder / file.name, text.encode(), shared=True)
            written.append(folder / file.name)
    return written
