"""The app that a run wants: from a folder on this device, or fetched once by its hash."""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flwr.clientapp import ClientApp

from frugalfl.approved import is_digest
from frugalfl.atomic import make_private_folder
from frugalfl.text import printable
from frugalfl_client.device import forget_devices
from frugalfl_client.node import flower
from frugalfl_client.node.app_error import AppError
from frugalfl_client.node.bundle import Files, is_as_unpacked, unpack
from frugalfl_client.node.flower import Bundle, Run
from frugalfl_client.node.trust import Trust

#: Bundles that are kept; the ones unused the longest are dropped.
_KEPT = 4
#: Files of a kept app: the bundle, who signed it, and the folder that it is unpacked into.
_BUNDLE, _SIGNED, _TREE = "bundle.fab", "signatures.json", "app"
#: FrugalFL's own ClientApp.
_OURS = "frugalfl_client.app:app"
#: In place of a bundle's hash: the app is in a folder of the owner's.
_LOCAL = "local"


@dataclass(frozen=True)
class App:
    """A ClientApp, and its settings where a run does not set others.

    Attributes:
        client: What answers messages.
        defaults: Its settings.
        hash: Of its bundle; that of the owner's folder is ``"local"``.
        is_ours: It is FrugalFL's own, which keeps models in memory between messages.
    """

    client: ClientApp
    defaults: dict[str, Any]
    hash: str
    is_ours: bool = False


@dataclass(frozen=True)
class _Loaded:
    """The app that is imported now.

    Attributes:
        folder: Where its modules are.
        files: What was unpacked there; ``None``: it is the owner's own folder.
        app: What was imported.
    """

    folder: Path
    files: Files | None
    app: App

    @property
    def is_sound(self) -> bool:
        """Whether its files are as they were: a module may be imported later."""
        return self.files is None or is_as_unpacked(self.folder, self.files)


class Apps:
    """The apps of this device; one of them is loaded at a time."""

    def __init__(
        self, cache: Path, trust: Trust, local: Path | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """Put the parts together.

        Args:
            cache: Where fetched bundles are kept.
            trust: Which of them may run.
            local: The owner's own app: it is used, and none is fetched.
            say: Takes one line for the person who looks on.
        """
        self._cache, self._trust, self._local, self._say = cache, trust, local, say
        self._loaded: _Loaded | None = None

    def of(self, run: Run, fetch: Callable[[], Bundle]) -> App:
        """Return the app of a run.

        Args:
            run: What the SuperLink says of it.
            fetch: Returns its bundle from there.

        Raises:
            AppError: It may not run, is another one than the run's, or cannot be unpacked or
                imported.
        """
        if self._local is not None:
            return self._of_folder(self._local, run)
        digest = run.fab_hash
        if not is_digest(digest):
            shown = printable(ascii(digest)[:80])
            raise AppError(f"the run names no app bundle: its hash is {shown}", flower.BAD_FAB)
        bundle = functools.cache(lambda: self._bundle(digest, fetch))
        self._trust.check(run, bundle)
        folder = self._cache / digest / _TREE
        if self._loaded is not None and self._loaded.folder == folder:
            if self._loaded.is_sound:
                return self._loaded.app
            self._say(f"the files of the app in {folder} were altered: they are unpacked anew")
        self._unload()
        files = self._unpacked(bundle(), folder)
        self._trust.pin(run)
        app = _imported(folder, run, digest)
        self._loaded = _Loaded(folder, files, app)
        return app

    def _of_folder(self, folder: Path, run: Run) -> App:
        """Return the app of the owner's folder, if it is the run's."""
        if self._loaded is None:
            self._loaded = _Loaded(folder, None, _imported(folder, run, _LOCAL))
        _check_name(folder, run)
        return self._loaded.app

    def _bundle(self, digest: str, fetch: Callable[[], Bundle]) -> Bundle:
        """Return a bundle of this hash: the one that is kept, or a fetched one, kept from now."""
        folder = self._cache / digest
        kept = _read(folder)
        if kept is not None and hashlib.sha256(kept.data).hexdigest() == digest:
            os.utime(folder)
            return kept
        if kept is not None:
            self._say(f"the app bundle in {folder} was altered: it is fetched anew")
        bundle = fetch()
        got = hashlib.sha256(bundle.data).hexdigest()
        if got != digest:
            raise AppError(
                f"the app bundle that came has the hash {got[:16]}..., the run is of "
                f"{digest[:16]}...: it is not run", flower.BAD_FAB,
            )  # fmt: skip
        return bundle

    def _unpacked(self, bundle: Bundle, folder: Path) -> Files:
        """Keep a bundle that may run, and unpack it afresh: nothing of an older tree stays."""
        make_private_folder(self._cache)
        with tempfile.TemporaryDirectory(dir=self._cache, prefix=".new-") as beside:
            whole = Path(beside) / folder.parent.name
            whole.mkdir()
            files = unpack(bundle.data, whole / _TREE)
            (whole / _BUNDLE).write_bytes(bundle.data)
            (whole / _SIGNED).write_text(json.dumps(bundle.verifications), encoding="utf-8")
            shutil.rmtree(folder.parent, ignore_errors=True)
            whole.rename(folder.parent)
        fetched = [path for path in self._cache.iterdir() if not path.name.startswith(".")]
        for old in sorted(fetched, key=lambda path: path.stat().st_mtime)[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)
        return files

    def _unload(self) -> None:
        """Forget the loaded app, so that its ``task.py`` is not taken for another one's."""
        if self._loaded is None:
            return
        home = str(self._loaded.folder)
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None) or "").startswith(home + "/"):
                del sys.modules[name]
        sys.path[:] = [entry for entry in sys.path if entry != home]
        forget_devices()
        self._loaded = None


def _read(folder: Path) -> Bundle | None:
    """Return what is kept in a folder of the cache; ``None``: nothing that could be a bundle."""
    try:
        verifications = json.loads((folder / _SIGNED).read_bytes())
        return Bundle((folder / _BUNDLE).read_bytes(), dict(verifications))
    except (OSError, ValueError, TypeError):
        return None


def _check_name(folder: Path, run: Run) -> tuple[str, dict[str, Any]]:
    """Return an app's ClientApp by name, and its settings, once it is known to be the run's."""
    try:
        name, version, reference, defaults = flower.about_app(folder)
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise AppError(f"{folder} is no Flower app: {printable(str(error))}") from error
    if (name, version) != (run.fab_id, run.fab_version):
        raise AppError(
            f"the run is of {printable(f'{run.fab_id} {run.fab_version}')}, but {folder} holds "
            f"{printable(f'{name} {version}')}: update it, or start the node without --app"
        )
    return reference, defaults


def _imported(folder: Path, run: Run, digest: str) -> App:
    reference, defaults = _check_name(folder, run)
    return App(_client_of(reference, folder), defaults, digest, reference == _OURS)


def _client_of(reference: str, folder: Path) -> ClientApp:
    """Import a ``module:attribute``; the app's folder comes first on the path, as in Flower."""
    module, _, attribute = str(reference).partition(":")
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        with _no_bytecode():
            client = getattr(importlib.import_module(module), attribute, None)
    except (Exception, SystemExit) as error:
        sys.path.remove(str(folder))
        why = printable(f"{module} cannot be imported: {type(error).__name__}: {error}")
        raise AppError(why) from error
    if not isinstance(client, ClientApp):
        raise AppError(printable(f"{reference} is no ClientApp"))
    return client


@contextmanager
def _no_bytecode() -> Iterator[None]:
    """Import without leaving ``__pycache__`` behind, where nothing but the app's files may be."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before
