"""The app that a run came from, whose code is run to export or resume it.

``run.json`` names its folder. A run directory may come from somebody else, and reading it must not
run what he put there: the app is taken where this user keeps it, outside the run, or from the run
if this user put it there (:mod:`.kept_app`).
"""

from __future__ import annotations

import os
from pathlib import Path

from frugalfl.errors import RunError
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.file_times import short_path
from frugalfl_server.run.kept_app import kept_app


def app_of(run: RunDirectory) -> Path | None:
    """Return the folder of a run's app; ``None``: the run does not say, or it is not there.

    Raises:
        RunError: It is inside the run directory, or it or the run is another user's.
    """
    named = run.read_json("run.json").get("app")
    if not isinstance(named, str) or not (app := Path(named)).is_dir():
        return kept_app(run)
    if not app.is_absolute() or app.resolve().is_relative_to(run.path):
        raise RunError(
            f"{short_path(run.path)} says that its app is at {named}, so the run brought code of "
            "its own, which is not run: put the app into a folder of yours, look at it, and write "
            "that folder's full path into run.json"
        )
    for path in (run.path / "run.json", app):
        if (owner := path.stat().st_uid) not in (os.geteuid(), 0):
            raise RunError(
                f"{path} belongs to another user (number {owner}), and the app's code would be "
                f"run: copy {'the run' if path != app else 'the app'} into a folder of yours first"
            )
    return app
