"""The door: finds each component's verbs, and loads only the one that was asked for.

A verb is an entry point of the group ``frugalfl.verbs``: a Typer app with one command. Every
mistake ends as one line on standard error and an exit code from :mod:`frugalfl.errors`;
``--debug``, anywhere on the line, shows the traceback instead.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import click
import typer
from rich.console import Console
from typer.core import TyperGroup

import frugalfl
from frugalfl.components import VERBS, entry_points, extra_of
from frugalfl.errors import FrugalFLError, Interrupted, MissingExtraError, RunError
from frugalfl.text import MOST_OF_A_LINE, printable

_INTERRUPTED = 130
#: The order of a first session; other verbs follow by name.
_ORDER = (
    "new", "simulate", "sweep", "tune", "serve", "node", "approve", "accept", "runs", "report",
    "energy", "export", "doctor",
)  # fmt: skip
_EPILOG = "Begin with: frugalfl new digits. Add --debug to any command for a traceback."
#: The documents, where a wheel was installed; in the repository they are in its own folders.
_DOCUMENTS = Path(sys.prefix, "share", "doc", "frugalfl")


class _Verbs(TyperGroup):
    """A command group whose members are the installed entry points."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all verbs, in the order a newcomer needs them."""
        names = entry_points(VERBS)
        return sorted(
            names,
            key=lambda name: (name not in _ORDER, _ORDER.index(name) if name in _ORDER else 0),
        )

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one verb; a verb whose packages are missing says which extra to install."""
        entry = entry_points(VERBS).get(cmd_name)
        if entry is None:
            return None
        try:
            command = typer.main.get_command(entry.load())
        except ModuleNotFoundError as error:
            return _unavailable(cmd_name, entry.module, error)
        command.name = cmd_name
        return command


def _unavailable(verb: str, module: str, error: ModuleNotFoundError) -> click.Command:
    extra = extra_of(module)

    def refuse() -> NoReturn:
        raise MissingExtraError(f"frugalfl {verb}", extra) from error

    return click.Command(
        verb,
        callback=lambda **_: refuse(),
        help=f"(needs pip install 'frugalfl[{extra}]')",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )


root = typer.Typer(
    cls=_Verbs,
    name="frugalfl",
    help="Federated learning that counts every byte and every joule.",
    epilog=f"{_EPILOG} The documents: {_DOCUMENTS}" if _DOCUMENTS.is_dir() else _EPILOG,
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"frugalfl {frugalfl.__version__}")
        raise typer.Exit


@root.callback()
def _root(
    version: bool = typer.Option(
        False,
        "--version",
        callback=_print_version,
        is_eager=True,
        help="Print the version and exit.",
    ),
) -> None:
    pass


def main() -> None:
    """Run the command line and exit with its code."""
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1 or bool(os.environ.get("FRUGALFL_DEBUG"))
    try:
        code = typer.main.get_command(root).main(
            arguments, prog_name="frugalfl", standalone_mode=False
        )
    except click.exceptions.Abort:
        _stop("interrupted", _INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        verb = next((word for word in arguments if word in entry_points(VERBS)), None)
        if debug or verb is None:
            raise
        extra = extra_of(entry_points(VERBS)[verb].module)
        missing = MissingExtraError(f"frugalfl {verb} ({error.name})", extra)
        _stop(f"error: {missing}", missing.exit_code)
    except FrugalFLError as error:
        if debug:
            raise
        asked_for = isinstance(error, Interrupted)
        _stop(f"{'' if asked_for else 'error: '}{error}", error.exit_code)
    except OSError as error:  # the system refused a file: damaged, a folder, no room
        if debug or error.filename is None:
            raise
        _stop(f"error: cannot use {error.filename}: {error.strerror}", RunError.exit_code)
    if code == _INTERRUPTED:  # how Typer hands on a Ctrl-C that nobody took
        _stop("interrupted", _INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _stop(text: str, code: int) -> NoReturn:
    Console(stderr=True, highlight=False, soft_wrap=True).print(
        printable(" ".join(text.split()), MOST_OF_A_LINE), markup=False
    )
    sys.exit(code)
