"""What a device ran first, what its owner accepted beside that, and what it refused.

One JSON file in the device's folder. The node writes it, each message's process does where Flower's
own node runs the app, and so does the owner's ``frugalfl accept``: every change is made under a
lock, and replaces the file as a whole. A file that is damaged counts for none: then nothing runs,
because what is not known to be accepted is refused.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from frugalfl.atomic import make_private_folder, open_private, write_json
from frugalfl.errors import RunError

#: First uses that are kept, and refusals; a server cannot fill the disk with new ones.
_MOST_FIRST, _MOST_REFUSED = 256, 32
_FILE, _LOCK = "accepted.json", "accepted.lock"


@dataclass
class _Kept:
    """The file's content.

    Attributes:
        first: By use, the digest that was the first there.
        accepted: Digests that the owner accepted by hand.
        refused: By digest, what was refused; the newest last.
    """

    first: dict[str, str] = field(default_factory=dict)
    accepted: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


class Pins:
    """The file of one device."""

    def __init__(self, folder: Path) -> None:
        """Remember where it is; nothing is made yet.

        Args:
            folder: The device's own, where its store and ledger are.
        """
        self.folder = folder
        self.path = folder / _FILE
        self._seen: tuple[tuple[int, int, int], _Kept] | None = None

    @property
    def accepted(self) -> frozenset[str]:
        """Digests that the owner accepted by hand.

        Raises:
            RunError: The file cannot be read.
        """
        return frozenset(self._read().accepted)

    @property
    def refused(self) -> dict[str, str]:
        """What was refused, by digest; the newest last.

        Raises:
            RunError: The file cannot be read.
        """
        return dict(self._read().refused)

    def first_of(self, use: str) -> str:
        """Return what was first used for a purpose; empty: nothing yet.

        Raises:
            RunError: The file cannot be read.
        """
        return self._read().first.get(use, "")

    def first(self, use: str, digest: str) -> str:
        """Return what was first used for a purpose: this digest, from now on, if it was nothing.

        Empty: nothing was, and there is no room for another purpose.

        Raises:
            RunError: The file cannot be read or written.
        """
        known = self.first_of(use)
        if known:
            return known
        with self._changing() as kept:
            if len(kept.first) < _MOST_FIRST:
                kept.first.setdefault(use, digest)
            return kept.first.get(use, "")

    def refuse(self, digest: str, what: str) -> None:
        """Note what was refused, for whoever wants to accept it.

        Raises:
            RunError: The file cannot be read or written.
        """
        if self._read().refused.get(digest) == what:
            return
        with self._changing() as kept:
            kept.refused.pop(digest, None)
            kept.refused[digest] = what
            while len(kept.refused) > _MOST_REFUSED:
                del kept.refused[next(iter(kept.refused))]

    def accept(self, digest: str) -> None:
        """Let something run from now on.

        Raises:
            RunError: The file cannot be read or written.
        """
        with self._changing() as kept:
            kept.refused.pop(digest, None)
            if digest not in kept.accepted:
                kept.accepted.append(digest)

    def _read(self) -> _Kept:
        """Return the file's content; it is read again only if it is another one than before."""
        try:
            about = self.path.stat()
            stamp = (about.st_mtime_ns, about.st_ino, about.st_size)
            if self._seen is None or self._seen[0] != stamp:
                self._seen = (stamp, _kept_of(json.loads(self.path.read_bytes())))
            return self._seen[1]
        except FileNotFoundError:
            return _Kept()
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise RunError(
                f"{self.path} cannot be read ({error}), so nothing is known to be accepted here: "
                "mend it, or delete it to begin anew"
            ) from error

    @contextmanager
    def _changing(self) -> Iterator[_Kept]:
        """Hold the lock, and write what the ``with`` block changed."""
        try:
            make_private_folder(self.folder)
            handle = open_private(self.folder / _LOCK, os.O_WRONLY)
            with os.fdopen(handle, "ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._seen = None
                kept = self._read()
                yield kept
                self._write(kept)
        except OSError as error:
            raise RunError(
                f"cannot keep in {self.folder} what may run: {error.strerror}"
            ) from error

    def _write(self, kept: _Kept) -> None:
        write_json(self.path, asdict(kept), durable=True)  # a power cut must not empty the list
        self._seen = None


def _kept_of(text: Any) -> _Kept:
    """Read the file's content.

    Raises:
        ValueError: It is none, or one of the usual errors.
    """
    kept = _Kept(dict(text["first"]), list(text["accepted"]), dict(text["refused"]))
    texts = [*kept.first.items(), *kept.refused.items(), kept.accepted]
    if not all(isinstance(one, str) for each in texts for one in each):
        raise ValueError("not a table of texts")
    return kept
