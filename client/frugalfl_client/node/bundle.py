"""An app bundle: a stranger's ZIP file, unpacked within bounds, and looked at again before use."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from importlib.machinery import all_suffixes
from pathlib import Path

from frugalfl.text import printable
from frugalfl_client.node.app_error import AppError
from frugalfl_client.node.flower import BAD_FAB

#: Largest bundle, as large as Flower's own limit or larger, and largest content, unpacked (B).
MOST_PACKED, MOST_BYTES = 10 << 20, 64 << 20
#: Most files and folders of a bundle, longest name of one (B), and most folders above a file.
MOST_ENTRIES, _MOST_NAME, _MOST_DEPTH = 1000, 240, 16
#: What each entry of a ZIP file's directory begins with (APPNOTE.TXT 4.3.12).
_ENTRY = b"PK\x01\x02"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_PIECE = 1 << 16

#: By name of a file, the SHA-256 of its content.
Files = dict[str, str]


def unpack(data: bytes, folder: Path) -> Files:
    """Unpack a bundle into a new folder; nothing of it lands outside.

    Its directory is checked as a whole before the first file is written, and bytes are counted as
    they come out: what an entry declares of its size means nothing.

    Raises:
        AppError: It is damaged or beyond the bounds, or a name in it means another place.
        OSError: The disk does not take it.
    """
    if len(data) > MOST_PACKED or data.count(_ENTRY) > MOST_ENTRIES:
        raise AppError(
            f"the app bundle has {len(data)} B and {data.count(_ENTRY)} entries; at most "
            f"{MOST_PACKED} B and {MOST_ENTRIES} are read", BAD_FAB,
        )  # fmt: skip
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as bundle:
            entries = [one for one in bundle.infolist() if not _is_folder(one)]
            _check(bundle.infolist())
            return _written(bundle, entries, folder)
    except _DAMAGED as error:
        raise AppError(f"the app bundle is damaged: {printable(str(error))}", BAD_FAB) from error


#: What reading a damaged ZIP file raises, of a stranger's bytes.
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError,
    OverflowError,
)  # fmt: skip


def is_as_unpacked(folder: Path, files: Files) -> bool:
    """Say whether a folder holds these files, and nothing else that Python would import.

    An app may keep data of its own beside its files.
    """
    try:
        same = all(_hash_of(folder / name) == known for name, known in files.items())
    except OSError:
        return False
    return same and not any(_is_code(name) for name in set(_names_in(folder)) - files.keys())


def _written(bundle: zipfile.ZipFile, entries: list[zipfile.ZipInfo], folder: Path) -> Files:
    left, files = MOST_BYTES, {}
    folder.mkdir()
    for entry in entries:
        target = folder / entry.filename
        target.parent.mkdir(parents=True, exist_ok=True)
        known = hashlib.sha256()
        with bundle.open(entry) as source, target.open("xb") as file:
            while piece := source.read(_PIECE):
                left -= len(piece)
                if left < 0:
                    raise AppError(f"the app bundle has more than {MOST_BYTES} B", BAD_FAB)
                known.update(piece)
                file.write(piece)
        files[entry.filename] = known.hexdigest()
    return files


def _check(entries: list[zipfile.ZipInfo]) -> None:
    """Refuse a directory in which a name is no plain file's, or is there twice."""
    taken: set[str] = set()
    folders: set[str] = set()
    for entry in entries:
        name = entry.orig_filename.removesuffix("/")
        why = _fault(name, entry)
        same = _folded(name)
        above = {_folded(name[:at]) for at, letter in enumerate(name) if letter == "/"}
        twice = same in taken or above & taken or (same in folders and not _is_folder(entry))
        if not why and twice:
            why = "is there twice, for a disk that ignores case"
        if why:
            shown = printable(ascii(name)[:80])
            raise AppError(f"the app bundle has an entry that {why}: {shown}", BAD_FAB)
        (folders if _is_folder(entry) else taken).add(same)
        folders |= above


def _is_folder(entry: zipfile.ZipInfo) -> bool:
    return entry.filename.endswith("/")  # ``is_dir`` fails on an entry without a name


def _fault(name: str, entry: zipfile.ZipInfo) -> str:
    """Return what is wrong with an entry; empty: nothing."""
    parts = name.split("/")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if name.startswith("/") or ".." in parts or ":" in name:
        return "is outside of it"
    if not name.isprintable() or "\\" in name or len(name.encode()) > _MOST_NAME:
        return "has no plain name"
    if "" in parts or "." in parts or len(parts) > _MOST_DEPTH:
        return "has no plain name"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is no plain file"
    if entry.flag_bits & 1 or entry.compress_type not in _METHODS:
        return "is encrypted, or packed in another way than Flower's"
    return ""


def _folded(name: str) -> str:
    """Return what a name is for a disk that ignores case, as those of Windows and macOS do."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _is_code(name: str) -> bool:
    return name.endswith(tuple(all_suffixes()))


def _names_in(folder: Path) -> Iterator[str]:
    for where, _, names in os.walk(folder):
        for name in names:
            yield (Path(where) / name).relative_to(folder).as_posix()


def _hash_of(path: Path) -> str:
    """Return the SHA-256 of a plain file.

    Raises:
        OSError: It cannot be read, or is a link.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(handle, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
