"""The app that a run was made with, kept inside the run: what devices may see of it, no more.

So a run can be exported and resumed when its app has changed its place, or the run has. But a run
directory may come from somebody else, and reading it must not run what he put there. So each user
has a key, which is in no run, and what this user kept carries a mark made with it (HMAC, RFC 2104,
with SHA-256, over the names and contents of all files). Without that mark the app is not run.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import shutil
import sys
from pathlib import Path

from frugalfl.atomic import make_private_folder, open_private
from frugalfl.errors import UsageError
from frugalfl.foreign import read_bytes, read_json
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.pack_app import copy_app

#: In a run: the app's files, and the mark over them, or why they are not there.
FOLDER, ABOUT = "app", "app.json"
#: Most that is kept of an app: files, and bytes of them all.
_MOST_FILES, _MOST_BYTES = 1000, 16 << 20
_KEY, _KEY_BYTES = "kept-apps.key", 32


def keep_app(run: RunDirectory, app: Path) -> None:
    """Keep an app in a run; where that cannot be, the run says why, and goes on.

    Args:
        run: The run.
        app: The app's folder.
    """
    folder = run.path / FOLDER
    try:
        copy_app(app, folder, but=run.path.parent)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o700 if path.is_dir() else 0o600)  # as all of a run
        about = {"mark": _mark(folder)}
    except (UsageError, OSError, ValueError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        about = {"why": " ".join(str(error).split())}
    run.write_json(ABOUT, about)


def kept_app(run: RunDirectory) -> Path | None:
    """Return the folder of the app that this user kept in a run, to import from; or ``None``.

    Nothing is compiled into it from here on, because it is to hold its own files only.
    """
    folder = run.path / FOLDER
    if not folder.is_dir() or not (run.path / ABOUT).is_file():
        return None
    try:
        mark = str(run.read_json(ABOUT).get("mark", ""))
        known = hmac.compare_digest(mark.encode(), _mark(folder).encode())
    except (OSError, ValueError):
        return None
    sys.dont_write_bytecode = True
    return folder if known else None


def why_not(run: RunDirectory) -> str:
    """Say in a few words why no app is taken from a run."""
    if not (run.path / ABOUT).is_file():
        return "the run keeps none"
    why = read_json(run.path / ABOUT).get("why")
    if isinstance(why, str):
        return f"the run keeps none ({why})"
    return (
        f"the one in {run.path / FOLDER} was not kept there by this user on this machine, so it is "
        "not run before you have looked at it"
    )


def _mark(folder: Path) -> str:
    """Return the mark over all that is in a folder.

    Raises:
        OSError: Files or the user's key cannot be read.
        ValueError: There is too much of it, or something else than files and folders.
    """
    digests: dict[str, str] = {}
    size = 0
    for path in sorted(folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            continue
        if path.is_symlink():
            raise ValueError(f"{path} is a link")
        content = read_bytes(path, _MOST_BYTES)
        size += len(content)
        if size > _MOST_BYTES or len(digests) == _MOST_FILES:
            raise ValueError(f"it has more than {_MOST_FILES} files or {_MOST_BYTES:,} B")
        digests[path.relative_to(folder).as_posix()] = hashlib.sha256(content).hexdigest()
    listed = json.dumps(digests, sort_keys=True).encode()
    return hmac.new(_key(), listed, hashlib.sha256).hexdigest()


def _key() -> bytes:
    """Return this user's key, made where there is none yet.

    Raises:
        OSError: It cannot be read or written.
        ValueError: It is no such key.
    """
    home = Path(os.environ.get("FRUGALFL_HOME") or Path.home() / ".frugalfl")
    make_private_folder(home)
    with os.fdopen(open_private(home / _KEY, os.O_RDWR | os.O_APPEND), "r+b") as file:
        key = file.read(_KEY_BYTES + 1)
        if not key:
            key = secrets.token_bytes(_KEY_BYTES)
            file.write(key)
    if len(key) != _KEY_BYTES:
        raise ValueError(f"{home / _KEY} is no key; delete it")
    return key
