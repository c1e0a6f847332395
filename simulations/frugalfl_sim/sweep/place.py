"""The folder of a sweep: its manifest, its lock, and what is there of each run.

sweep.json        the app's files (SHA-256), the newest grid
sweep.html        the newest comparison
runs/POINT/RUN    an ordinary run directory, in a folder named after its settings
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from frugalfl.atomic import make_private_folder, write_json
from frugalfl.errors import RunError, UsageError
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.pack_app import choose
from frugalfl_server.run.resume import claimed
from frugalfl_sim.sweep.points import Point

MANIFEST = "sweep.json"
_RUNS, _PROJECT = "runs", "pyproject.toml"


class Place:
    """A folder that holds the runs of one app."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep other processes out while the ``with`` block lasts.

        Raises:
            RunError: Another one is at work on it.
        """
        make_private_folder(self.path)
        with claimed(RunDirectory(self.path)):
            yield

    def begin(self, app: Path, points: Sequence[Point]) -> str:
        """Write the manifest, and say in one line what of it is there already; empty: nothing.

        Another grid over the same app is no mistake: what both have is taken over. Another app is:
        its figures would stand in one table with those of the old one.

        Raises:
            UsageError: The app's files are not those that the sweep was begun with.
            RunError: The manifest is damaged.
        """
        files = digests(app, self.path)
        before = self._manifest()
        if before is not None:
            self._check_same(app, before["files"], files)
        manifest = {"app": str(app.resolve()), "files": files, "points": [p.name for p in points]}
        write_json(self.path / MANIFEST, manifest, durable=True)
        return "" if before is None or not points else self._news(before["points"], points)

    def folder_of(self, point: Point) -> Path:
        """Return the folder that a point's run directory is made in."""
        return self.path / _RUNS / point.name

    def run_of(self, point: Point) -> Path | None:
        """Return its newest run directory, finished or not; ``None``: it was not begun."""
        folder = self.folder_of(point)
        runs = [one for one in folder.glob("*/run.json") if not one.parent.is_symlink()]
        return max(runs, key=lambda one: one.stat().st_mtime_ns).parent if runs else None

    def finished(self, point: Point) -> bool:
        """Say whether its run is finished."""
        run = self.run_of(point)
        return run is not None and RunDirectory(run).status()[0] == "finished"

    def _news(self, before: Sequence[str], points: Sequence[Point]) -> str:
        there = sum(map(self.finished, points))
        said = f"{there} of {len(points)} runs are finished already, in {self.path}"
        if set(before) != {point.name for point in points}:
            said = f"the grid changed since: {said}; only what is new is run"
        return said

    def _manifest(self) -> dict[str, Any] | None:
        path = self.path / MANIFEST
        if not os.path.lexists(path):
            return None
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            return {"files": dict(known["files"]), "points": list(known["points"])}
        except (ValueError, TypeError, LookupError) as error:
            raise RunError(f"{path} is damaged ({error}); name another folder by --out") from error

    def _check_same(self, app: Path, before: dict[str, str], now: dict[str, str]) -> None:
        names = sorted(name for name in before | now if before.get(name) != now.get(name))
        if names:
            raise UsageError(
                f"{', '.join(names[:4])} of {app} changed since {self.path} was begun, and its "
                "runs would not compare with new ones; name another folder by --out, or put the "
                "app's files back"
            )


def digests(app: Path, but: Path) -> dict[str, str]:
    """Return the SHA-256 of the app's code, by name; settings count with each run, not here.

    Raises:
        UsageError: ``fab-include`` or ``fab-exclude`` of the app is wrong.
    """
    project = tomllib.loads((app / _PROJECT).read_text(encoding="utf-8"))
    about = project["tool"]["flwr"]["app"]
    files, _ = choose(app, about, but)
    found = {name: (app / name).read_bytes() for name in files if name != _PROJECT}
    components = json.dumps(about.get("components", {}), sort_keys=True)
    found[f"the components in {_PROJECT}"] = components.encode()
    return {name: hashlib.sha256(content).hexdigest() for name, content in found.items()}
