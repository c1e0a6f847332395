"""A list of what a device may run: hashes of app bundles, and digests of training programs.

``frugalfl approve`` writes it on the owner's machine, a device reads it. It is JSON, so that a
person can read it too, and put two lists into one.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from frugalfl.errors import UsageError

_KIND, _FORMAT = "frugalfl-approved", 1
#: Longest list that is read (B), and most entries of a kind.
_MOST_BYTES, _MOST_ENTRIES = 1 << 20, 4096
_DIGEST = re.compile(r"[0-9a-f]{64}")


def is_digest(text: str) -> bool:
    """Say whether a text is a SHA-256: exactly 64 hexadecimal digits, in lower case."""
    return _DIGEST.fullmatch(text) is not None


@dataclass(frozen=True)
class ApprovedApp:
    """An app bundle that may run.

    Attributes:
        name: Flower's name of it, ``publisher/name``, and its version; for people.
        hash: SHA-256 of the bundle.
    """

    name: str
    hash: str


@dataclass(frozen=True)
class ApprovedProgram:
    """A training program that may run.

    Attributes:
        purpose: What it trains; for people.
        digest: SHA-256 of its file, as requests name it.
    """

    purpose: str
    digest: str


@dataclass(frozen=True)
class Approved:
    """A whole list; what is not on it does not run."""

    apps: tuple[ApprovedApp, ...]
    programs: tuple[ApprovedProgram, ...]

    @property
    def hashes(self) -> frozenset[str]:
        """Hashes of the apps."""
        return frozenset(one.hash for one in self.apps)

    @property
    def digests(self) -> frozenset[str]:
        """Digests of the programs."""
        return frozenset(one.digest for one in self.programs)


def to_text(approved: Approved) -> str:
    """Return a list as the text of its file."""
    return json.dumps({"kind": _KIND, "format": _FORMAT, **asdict(approved)}, indent=2) + "\n"


def read_approved(path: Path) -> Approved:
    """Read a list from its file.

    Raises:
        UsageError: It cannot be read, or is none.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise ValueError(f"it is longer than {_MOST_BYTES} B")
        return _read_list(json.loads(data))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError(
            f"{path} is no list of what may run ({why}): make one with frugalfl approve APP"
        ) from error


def _read_list(text: Any) -> Approved:
    if text["kind"] != _KIND or text["format"] != _FORMAT:
        raise ValueError(f"not of the kind {_KIND}, format {_FORMAT}")
    return Approved(
        tuple(ApprovedApp(str(one["name"]), _digest(one["hash"])) for one in _few(text["apps"])),
        tuple(
            ApprovedProgram(str(one["purpose"]), _digest(one["digest"]))
            for one in _few(text["programs"])
        ),
    )


def _few(listed: Any) -> list[Any]:
    if not isinstance(listed, list) or len(listed) > _MOST_ENTRIES:
        raise ValueError(f"not a list of at most {_MOST_ENTRIES} entries")
    return listed


def _digest(text: Any) -> str:
    if not isinstance(text, str) or not is_digest(text):
        raise ValueError(f"{str(text)[:80]!r} is no SHA-256 of 64 hexadecimal digits")
    return text
