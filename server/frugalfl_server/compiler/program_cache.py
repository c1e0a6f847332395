"""Compiled training programs in the user's cache, so that the next run need not compile them.

Converting a graph takes some 15 s of processor time, and gives the same bytes for the same graph
and versions. So a program is kept under a hash of exactly these, as the file that would travel to
a device. What is read is checked as on a device: its digest, bounds and data flow; then its caller
compares a step of it with PyTorch's, as of a program just compiled. Whatever does not pass is
compiled anew, so that a file which somebody else put there can cost time, and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from frugalfl.atomic import write_atomically
from frugalfl.errors import ProgramError
from frugalfl.flow import check_flow
from frugalfl.program import MAX_BYTES, Program
from frugalfl.program_file import digest_of, pack, unpack

#: Programs together (B); those unused the longest are dropped. One takes 5 to 500 kB.
MOST_BYTES = 64 << 20
_FOLDER = "training-programs"
#: How long the temporary file of a process that was killed may lie there (s).
_STALE_S = 3600.0


def cache_folder() -> Path:
    """Return where FrugalFL keeps what it can make again: ``$XDG_CACHE_HOME/frugalfl``.

    A user without a home, as in some containers, has a folder for temporary files.
    """
    home = os.environ.get("XDG_CACHE_HOME")
    if home:
        return Path(home) / "frugalfl"
    try:
        return Path.home() / ".cache" / "frugalfl"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"frugalfl-{os.getuid()}"


@dataclass(frozen=True)
class ProgramCache:
    """Programs by key; a disk that keeps none is as good as an empty one.

    Attributes:
        folder: For them; made, for nobody but its owner, when the first one is kept.
        most_bytes: Of all of them.
    """

    folder: Path
    most_bytes: int = MOST_BYTES

    @classmethod
    def of_user(cls) -> ProgramCache:
        """Return that of whoever runs this process."""
        return cls(cache_folder() / _FOLDER)

    def find(self, key: str, like: Program) -> Program | None:
        """Return the program of a key; ``None``: there is none, or it is not to be trusted.

        Args:
            key: A hash of all that decides its bytes.
            like: What it must be, but for its model.
        """
        for path in self._files(key):
            try:
                program = unpack(_read(path), path.suffix[1:])
                if replace(program, model=like.model) != like:
                    raise ProgramError("it is another model's")
                check_flow(program)
                os.utime(path)
                return program
            except (ProgramError, OSError):
                self._drop(path)
        return None

    def keep(self, key: str, program: Program) -> None:
        """Keep a program, in place of those that were not used the longest."""
        file = pack(program)
        with contextlib.suppress(OSError):
            write_atomically(self.folder / f"{key}.{digest_of(file)}", file)
            self._make_room()

    def forget(self, key: str) -> None:
        """Drop the program of a key."""
        for path in self._files(key):
            self._drop(path)

    def _files(self, key: str) -> list[Path]:
        with contextlib.suppress(OSError):
            return sorted(self.folder.glob(f"{key}.*"))
        return []

    def _make_room(self) -> None:
        used = 0
        found = [(path.lstat(), path) for path in self.folder.iterdir()]
        for about, path in sorted(found, key=lambda one: one[0].st_mtime, reverse=True):
            if path.name.startswith("."):  # of a process that writes now, or was killed
                if time.time() - about.st_mtime > _STALE_S:
                    self._drop(path)
                continue
            used += about.st_size
            if used > self.most_bytes:
                self._drop(path)

    def _drop(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            path.unlink()


def _read(path: Path) -> bytes:
    """Return a file of ours, and no link, of no more bytes than a program has.

    Raises:
        OSError: It is something else.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode) or about.st_uid != os.geteuid():
            raise OSError(f"{path} is no file of ours")
        if about.st_size > MAX_BYTES:
            raise OSError(f"{path} has {about.st_size} B")
        return file.read()
