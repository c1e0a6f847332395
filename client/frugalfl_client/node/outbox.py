"""Answers that were computed and not delivered yet: on disk, so that no crash loses one.

A file for each: a SHA-256 of the rest, a JSON line, then the bytes it speaks of. What is damaged or
too old is dropped.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from frugalfl.atomic import make_private_folder, write_atomically
from frugalfl_client.node.flower import Parcel

_KINDS: dict[str, Any] = {
    "node": int, "run": int, "answers": str, "expires": int | float, "seconds": int | float,
}  # fmt: skip
_DIGEST = hashlib.sha256().digest_size


class Outbox:
    """The undelivered answers of one device, the oldest first."""

    def __init__(self, folder: Path) -> None:
        """Open the folder, and make it if need be.

        Raises:
            OSError: It cannot be made or read.
        """
        make_private_folder(folder)
        self._folder = folder
        self._waiting: list[tuple[Path, Parcel]] = []
        for path in sorted(folder.glob("*.reply"), key=lambda path: path.stat().st_mtime):
            try:
                self._waiting.append((path, _read(path.read_bytes())))
            except (ValueError, KeyError, TypeError, RecursionError):
                path.unlink(missing_ok=True)

    def __len__(self) -> int:
        return len(self._waiting)

    def first(self) -> Parcel | None:
        """Return the answer to send next."""
        return self._waiting[0][1] if self._waiting else None

    def put(self, parcel: Parcel) -> None:
        """Keep an answer until :meth:`drop`; where the disk does not take it, in memory only.

        Raises:
            OSError: It is not on disk.
        """
        self._waiting.append((self._path(parcel.answers), parcel))
        self.put_in_case(parcel)

    def put_in_case(self, parcel: Parcel) -> None:
        """Keep an answer that is sent only if the process dies before it can put a better one.

        Raises:
            OSError: It is not on disk.
        """
        write_atomically(self._path(parcel.answers), _written(parcel))

    def drop(self) -> None:
        """Forget the answer that is first: it was delivered, or nobody waits for it any more."""
        path, _ = self._waiting.pop(0)
        path.unlink(missing_ok=True)

    def forget(self, message: str) -> None:
        """Forget what was kept in case, for a message that is not worked on after all."""
        self._path(message).unlink(missing_ok=True)

    def _path(self, message: str) -> Path:
        return self._folder / f"{hashlib.sha256(message.encode()).hexdigest()[:32]}.reply"


def _written(parcel: Parcel) -> bytes:
    parts = [parcel.message, parcel.tree, *parcel.objects.values()]
    about = {
        "node": parcel.node,
        "run": parcel.run,
        "answers": parcel.answers,
        "expires": parcel.expires,
        "seconds": parcel.seconds,
        "names": list(parcel.objects),
        "sizes": [len(part) for part in parts],
    }
    data = b"".join([json.dumps(about).encode(), b"\n", *parts])
    return hashlib.sha256(data).digest() + data


def _read(data: bytes) -> Parcel:
    """Read what :func:`_written` wrote.

    Raises:
        ValueError: It is damaged.
    """
    digest, data = data[:_DIGEST], data[_DIGEST:]
    if hashlib.sha256(data).digest() != digest:
        raise ValueError("damaged")
    line, _, rest = data.partition(b"\n")
    about, parts = json.loads(line), []
    for size in about["sizes"]:
        parts.append(rest[:size])
        rest = rest[size:]
    message, tree, *objects = parts
    named = dict(zip(map(str, about["names"]), objects, strict=True))
    answer = Parcel(
        about["node"], about["run"], about["answers"], about["expires"], about["seconds"],
        message, tree, named,
    )  # fmt: skip
    for name, kind in _KINDS.items():
        if not isinstance(getattr(answer, name), kind):
            raise TypeError(f"its {name} is no {kind}")
    return answer
