"""The app that a run wants: from a folder on this device, or fetched once by its hash."""

from __future__ import annotations

import hashlib
import importlib
import io
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flwr.clientapp import ClientApp

from frugalfl.atomic import make_private_folder
from frugalfl.errors import FrugalFLError
from frugalfl_client.device import forget_devices
from frugalfl_client.node import flower
from frugalfl_client.node.flower import Run

#: Largest content of an app bundle, unpacked (B); Flower's own limit for the bundle is 10 MB.
_MOST_BYTES = 64 << 20
#: Bundles that are kept; the ones unused the longest are dropped.
_KEPT = 4


class AppError(FrugalFLError):
    """An app that cannot be had, or cannot be loaded.

    Attributes:
        code: Flower's number for it.
    """

    def __init__(self, text: str, code: int = flower.APP_NOT_LOADED) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class App:
    """A ClientApp, and its settings where a run does not set others."""

    client: ClientApp
    defaults: dict[str, Any]


class Apps:
    """The apps of this device; one of them is loaded at a time."""

    def __init__(self, cache: Path, local: Path | None = None) -> None:
        """Keep fetched apps in ``cache``; with ``local``, use that folder and fetch none."""
        self._cache = cache
        self._local = local
        self._loaded: tuple[Path, App] | None = None

    def of(self, run: Run, fetch: Callable[[], bytes]) -> App:
        """Return the app of a run.

        Args:
            run: What the SuperLink says of it.
            fetch: Returns its bundle's bytes from there.

        Raises:
            AppError: It is another one than the run's, or cannot be unpacked or imported.
        """
        folder = self._local or self._unpacked(run.fab_hash, fetch)
        try:
            name, version, reference, defaults = flower.about_app(folder)
        except (ValueError, OSError) as error:
            raise AppError(f"{folder} is no Flower app: {error}") from error
        if (name, version) != (run.fab_id, run.fab_version):
            raise AppError(
                f"the run is of {run.fab_id} {run.fab_version}, but {folder} holds {name} "
                f"{version}: update it, or start the node without --app"
            )
        if self._loaded is None or self._loaded[0] != folder:
            self._unload()
            self._loaded = (folder, App(_client_of(reference, folder), defaults))
        return self._loaded[1]

    def _unpacked(self, digest: str, fetch: Callable[[], bytes]) -> Path:
        """Return the folder of a bundle; fetch, check and unpack it where that is not done yet."""
        folder = self._cache / digest
        if not digest or Path(digest).name != digest:
            raise AppError(f"the run names no app bundle ({digest!r})", flower.BAD_FAB)
        if folder.is_dir():
            folder.touch()
            return folder
        data = fetch()
        got = hashlib.sha256(data).hexdigest()
        if got != digest:
            raise AppError(
                f"the app bundle that came has the hash {got[:16]}..., the run is of "
                f"{digest[:16]}...: it is not run", flower.BAD_FAB,
            )  # fmt: skip
        make_private_folder(self._cache)
        with tempfile.TemporaryDirectory(dir=self._cache, prefix=".new-") as beside:
            whole = Path(beside) / "app"
            _unpack(data, whole)
            whole.rename(folder)
        fetched = [path for path in self._cache.iterdir() if not path.name.startswith(".")]
        for old in sorted(fetched, key=lambda path: path.stat().st_mtime)[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)
        return folder

    def _unload(self) -> None:
        """Forget the loaded app, so that its ``task.py`` is not taken for another one's."""
        if self._loaded is None:
            return
        home = str(self._loaded[0])
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None) or "").startswith(home + "/"):
                del sys.modules[name]
        sys.path[:] = [entry for entry in sys.path if entry != home]
        forget_devices()
        self._loaded = None


def _unpack(data: bytes, folder: Path) -> None:
    """Unpack a bundle; nothing of it lands outside ``folder``."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as bundle:
            size = sum(entry.file_size for entry in bundle.infolist())
            if size > _MOST_BYTES:
                raise AppError(f"the app bundle holds {size} B unpacked", flower.BAD_FAB)
            for entry in bundle.infolist():
                inside = (folder / entry.filename).resolve()
                if not inside.is_relative_to(folder.resolve()):
                    raise AppError(
                        f"the app bundle has a file outside of it: {entry.filename!r}",
                        flower.BAD_FAB,
                    )
            bundle.extractall(folder)
    except zipfile.BadZipFile as error:
        raise AppError(f"the app bundle is damaged: {error}", flower.BAD_FAB) from error


def _client_of(reference: str, folder: Path) -> ClientApp:
    """Import a ``module:attribute``; the app's folder comes first on the path, as in Flower."""
    module, _, attribute = reference.partition(":")
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        client = getattr(importlib.import_module(module), attribute, None)
    except Exception as error:
        raise AppError(f"{module} cannot be imported: {type(error).__name__}: {error}") from error
    if not isinstance(client, ClientApp):
        raise AppError(f"{reference} is no ClientApp")
    return client
