"""Which run is meant by ``--resume``, and which app and settings it goes on with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from frugalfl.errors import UsageError
from frugalfl.settings import Settings
from frugalfl_server.run.app_directory import apply_changes, read_settings
from frugalfl_server.run.app_of_run import app_of
from frugalfl_server.run.kept_app import why_not
from frugalfl_server.run.resume import refuse_unresumable, settings_of

_LATEST = Path("latest")


def found(run: Path, runs: Path) -> Path:
    """Return the directory that is meant: ``latest`` is the newest run under ``runs``."""
    return runs / _LATEST if run == _LATEST and not run.exists() else run


def named(run: Path, app: str | None, changes: Sequence[str]) -> tuple[Path, Settings]:
    """Return the app folder and the settings that a command line asks to go on with.

    Args:
        run: The run's directory.
        app: As on the command line: a folder, nothing, or a change of settings in its place.
        changes: Further changes of settings.

    Raises:
        RunError: There is no such run, or it is finished.
        UsageError: The app is not known, or a setting is wrong.
    """
    directory, own = settings_of(run)
    refuse_unresumable(directory)
    if app is not None and (Path(app).is_dir() or "=" not in app):
        return Path(app), read_settings(Path(app), changes)
    folder = app_of(directory)
    if folder is None:
        told = directory.read_json("run.json").get("app")
        raise UsageError(
            f"the app of {run} is not at {told}, and {why_not(directory)}: name its folder, as in "
            f"frugalfl simulate FOLDER --resume {run}"
        )
    return folder, apply_changes(own, changes if app is None else [app, *changes])
