"""What ``frugalfl simulate`` and ``frugalfl serve`` take alike, and what they end with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frugalfl.errors import UsageError

if TYPE_CHECKING:
    from frugalfl.settings import Settings

App = Annotated[
    str | None,
    typer.Argument(
        help="Folder of a Flower app: pyproject.toml and task.py; with --resume the run's own."
    ),
]
Changes = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Settings to change, as in the app's config."),
]
Runs = Annotated[Path, typer.Option(help="Folder that the run directory goes into.")]
Resume = Annotated[
    Path | None,
    typer.Option(
        metavar="RUN",
        help="Go on with a run that was stopped; **latest** is the newest one in --runs.",
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the summary as JSON on standard output.")
]


def chosen(
    app: str | None, changes: Sequence[str] | None, resume: Path | None, runs: Path
) -> tuple[Path, Settings, Path | None]:
    """Return the app's folder, its settings, and the run to go on with, from a command line.

    Nothing heavy is imported, so that a typing mistake is answered at once.

    Raises:
        RunError: There is no such run, or it is finished.
        UsageError: No app is named, it is none, or a setting is wrong.
    """
    if resume is not None:
        from frugalfl_server.run.choose_resumed import found, named

        run = found(resume, runs)
        return *named(run, app, changes or []), run
    if app is None:
        raise UsageError(
            "name the folder of a Flower app; `frugalfl new digits` makes one to begin with"
        )
    from frugalfl_server.run.app_directory import read_settings

    return Path(app), read_settings(Path(app), changes or []), None


def show(path: Path, as_json: bool) -> None:
    """Print the summary of a run."""
    from frugalfl_server.run.directory import RunDirectory

    run = RunDirectory.open(path)
    if as_json:
        typer.echo(json.dumps(run.read_json("summary.json"), indent=2))
        return
    from frugalfl_server.report.terminal import print_summary

    print_summary(run)
