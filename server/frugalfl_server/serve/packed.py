"""An app's bundle, the same bytes wherever and however often it is made of the same files.

What differs from run to run (settings on the command line, the run directory) goes beside it, as
Flower's overrides of a run's config. So a device whose owner approved an app need not be asked
again for each run of it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from flwr.cli.build import build_fab_from_disk

from frugalfl.errors import UsageError
from frugalfl.settings import Settings
from frugalfl_server.apps import read_settings
from frugalfl_server.serve.submitted import make_app


def pack_app(app: Path, folder: Path) -> str:
    """Copy what Flower packs of an app, with every setting in it; return its bundle's SHA-256.

    Args:
        app: The user's folder.
        folder: Made anew; ``flwr run`` makes the bundle of it.

    Raises:
        UsageError: Flower does not take it.
    """
    return hash_of_bundle(make_app(app, read_settings(app), folder))


def hash_of_bundle(app: Path) -> str:
    """Return the SHA-256 of the bundle that ``flwr run`` makes of a folder.

    Raises:
        UsageError: Flower does not take it.
    """
    try:
        return hashlib.sha256(build_fab_from_disk(app)).hexdigest()
    except ValueError as error:
        raise UsageError(f"{app} cannot be packed: {' '.join(str(error).split())}") from error


def write_overrides(app: Path, settings: Settings, file: Path) -> Path:
    """Write the settings of a run that are not the app's own, for ``flwr run --run-config``.

    Args:
        app: The user's folder.
        settings: Of the run.
        file: Where to; its name ends in ``.toml``.
    """
    own = read_settings(app).as_config()
    changed = {key: value for key, value in settings.as_config().items() if value != own[key]}
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in changed.items()]
    file.write_text("".join(lines), encoding="utf-8")
    return file
