"""What goes out to every device: the app's Python files and what it lists, and nothing else."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tomllib
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pathspec import GitIgnoreSpec

from frugalfl.errors import UsageError
from frugalfl.text import printable
from frugalfl_server.run.app_directory import read_settings
from frugalfl_server.run.ignored import Ignored

_PROJECT = "pyproject.toml"
#: What is packed of an app that lists nothing: code, and no data.
_CODE = ("*.py",)
#: What Flower would pack by itself; only of such files a person is told that they stay.
_FLOWERS = (".py", ".toml", ".md", ".yaml", ".yml", ".json", ".jsonl")
#: Most names in one line.
_NAMES = 8


@dataclass(frozen=True)
class Packed:
    """An app as devices get it.

    Attributes:
        folder: The copy that Flower packs.
        files: Paths in it, in the bundle's order.
        size: Bytes of the bundle.
        digest: SHA-256 of the bundle, which devices see.
        left: Files of the app that Flower would have packed, and that stay.
    """

    folder: Path
    files: tuple[str, ...]
    size: int
    digest: str
    left: tuple[str, ...]

    @property
    def line(self) -> str:
        """What a person is told."""
        stays = f"; stays here: {_some(self.left)}" if self.left else ""
        return (
            f"every device gets {len(self.files)} files, {self.size:,} B, "
            f"SHA-256 {self.digest}: {_some(self.files)}{stays}"
        )


def pack(app: Path, folder: Path) -> Packed:
    """Copy what devices may see of an app, and say what that is.

    The same files give the same bundle, byte for byte: settings that one run has otherwise go along
    with the run, not in it.

    Args:
        app: Folder of a Flower app.
        folder: Where the copy goes; what is there is deleted.

    Raises:
        UsageError: ``fab-include`` or ``fab-exclude`` is wrong, or Flower refuses the app.
    """
    shutil.rmtree(folder, ignore_errors=True)
    left = copy_app(app, folder, but=folder.parent)
    bundle = bundle_of(folder)
    with zipfile.ZipFile(io.BytesIO(bundle)) as packed:
        names = tuple(name for name in packed.namelist() if not name.startswith("."))
    digest = hashlib.sha256(bundle).hexdigest()
    return Packed(folder, names, len(bundle), digest, tuple(left))


def copy_app(app: Path, folder: Path, but: Path) -> list[str]:
    """Copy what devices may see of an app into a new folder, and return the names of what stays.

    Args:
        app: Folder of a Flower app.
        folder: Where the copy goes.
        but: A folder that is no part of the app.

    Raises:
        UsageError: ``fab-include`` or ``fab-exclude`` is wrong.
        OSError: A file cannot be read or written.
    """
    project = tomllib.loads((app / _PROJECT).read_text(encoding="utf-8"))
    files, left = choose(app, project["tool"]["flwr"]["app"], but)
    folder.mkdir(parents=True)
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(app / name, folder / name, follow_symlinks=False)
    _write_project(app, project, folder / _PROJECT)
    return left


def choose(app: Path, about: dict[str, Any], but: Path) -> tuple[list[str], list[str]]:
    """Return what is packed of an app beside its project file, and what stays there.

    Args:
        app: Its folder.
        about: Its ``[tool.flwr.app]``.
        but: A folder that is no part of it.

    Raises:
        UsageError: ``fab-include`` or ``fab-exclude`` is wrong.
    """
    wanted = _patterns(about, "fab-include")
    unwanted = GitIgnoreSpec.from_lines(_patterns(about, "fab-exclude") or [])
    there, left = _allowed(app, but.resolve())
    for pattern in wanted or []:
        if not GitIgnoreSpec.from_lines([pattern]).match_file(_PROJECT) and not any(
            GitIgnoreSpec.from_lines([pattern]).match_files(there)
        ):
            raise UsageError(
                f"fab-include of {app / _PROJECT} has {pattern!r}, but nothing there may be packed "
                "by it: hidden files, links, and what .gitignore names never are"
            )
    spec = GitIgnoreSpec.from_lines(_CODE if wanted is None else wanted)
    chosen = [name for name in there if spec.match_file(name) and not unwanted.match_file(name)]
    left += [name for name in there if name not in chosen and name.endswith(_FLOWERS)]
    return chosen, sorted(left)


def _allowed(app: Path, but: Path) -> tuple[list[str], list[str]]:
    """Return the files of an app that may be packed, and those of them that may not."""
    ignored = Ignored(app)
    may: list[str] = []
    stay: list[str] = []
    for path in _files(app, but, ignored):
        name = path.relative_to(app).as_posix()
        if name == _PROJECT:
            continue
        if path.is_symlink() or not path.is_file() or ignored.has(path):
            stay += [name] if name.endswith(_FLOWERS) else []
        else:
            may.append(name)
    return sorted(may), stay


def _files(folder: Path, but: Path, ignored: Ignored) -> Iterator[Path]:
    """Yield what is in a folder and in folders of it, without those hidden, linked or ignored."""
    ignored.enter(folder)
    with os.scandir(folder) as entries:
        inside = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    for path in (folder / name for name in inside):
        if path.is_symlink() or not path.is_dir():
            yield path
        elif (
            path.name != "__pycache__"
            and path.resolve() != but
            and not ignored.has(path, folder=True)
        ):
            yield from _files(path, but, ignored)


def _patterns(about: dict[str, Any], key: str) -> list[str] | None:
    """Return the patterns of an app; ``None``: it has no such list.

    Raises:
        UsageError: It is no list of texts.
    """
    found = about.get(key)
    if found is None:
        return None
    if not isinstance(found, list) or not found or not all(isinstance(x, str) for x in found):
        raise UsageError(f"{key} in [tool.flwr.app] is {found!r}; write a list such as ['*.py']")
    return found


def _write_project(app: Path, project: dict[str, Any], file: Path) -> None:
    """Write the project file of the copy: with all settings, since a run can only change those."""
    about, flwr = project["project"], project["tool"]["flwr"]["app"]
    tables: dict[str, dict[str, Any]] = {
        "project": {key: about[key] for key in ("name", "version", "description") if key in about},
        "tool.flwr.app": {"publisher": flwr["publisher"]},
        "tool.flwr.app.components": flwr["components"],
        "tool.flwr.app.config": read_settings(app).as_config(),
    }
    text = "\n".join(
        "\n".join([f"[{name}]", *toml_lines(rows), ""]) for name, rows in tables.items()
    )
    file.write_text(text, encoding="utf-8")


def toml_lines(rows: dict[str, Any]) -> Sequence[str]:
    """Return ``key = value`` lines."""
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in rows.items()]


def bundle_of(folder: Path) -> bytes:
    """Return the bundle that ``flwr run`` makes of a folder.

    Raises:
        UsageError: Flower refuses it.
    """
    from click import ClickException
    from flwr.cli.build import build_fab_from_disk

    try:
        return build_fab_from_disk(folder)
    except (ValueError, ClickException) as error:
        raise UsageError(
            f"Flower does not pack this app: {' '.join(str(error).split())}"
        ) from error


def _some(names: Sequence[str]) -> str:
    """Return some of the names, printable."""
    shown = [printable(name) for name in names[:_NAMES]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
