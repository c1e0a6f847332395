"""JSON that knows if it was changed, and one line for whatever else a damaged file makes go wrong.

A flipped bit in a digit is still JSON. So what a run is resumed, exported or reported from has a
``checksum``, BLAKE2b over the rest of it in one fixed form; other programs may ignore it. The
folder of the app may be written anew by its owner, who moved it, and is not part of that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from frugalfl.atomic import write_json
from frugalfl.errors import RunError
from frugalfl.foreign import read_json

_CHECKSUM = "checksum"
#: Keys that a person may change.
_OPEN = ("app",)
#: What Python raises over a value that is not what it should be.
_WRONG = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def write_sealed(
    path: Path, value: dict[str, Any], durable: bool = False, shared: bool = False
) -> None:
    """Write a JSON object with its checksum; the rest as of :func:`frugalfl.atomic.write_json`."""
    write_json(path, value | {_CHECKSUM: _checksum(value)}, durable, shared)


def read_sealed(path: Path) -> tuple[dict[str, Any], bool]:
    """Read a JSON object without its checksum; return also whether it had one.

    Raises:
        RunError: It is missing or damaged.
    """
    with reading(path):
        value = read_json(path)
        told = value.pop(_CHECKSUM, None)
        if told is not None and told != _checksum(value):
            raise ValueError("its checksum does not agree")
    return value, told is not None


@contextmanager
def reading(path: Path, what_to_do: str = "put a sound copy in its place") -> Iterator[None]:
    """Read a file that may hold anything: what Python raises over it becomes one line.

    Args:
        path: The file.
        what_to_do: Ends the line, where it is damaged.

    Raises:
        RunError: It cannot be read, or is not what the ``with`` block takes it for.
    """
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}") from error
    except _WRONG as error:
        said = " ".join(f"{error}".split())[:120]
        said = f"{said} is missing" if isinstance(error, KeyError) else said
        raise RunError(f"{path} is damaged ({said}); {what_to_do}") from error


def _checksum(value: dict[str, Any]) -> str:
    closed = {name: part for name, part in value.items() if name not in _OPEN}
    text = json.dumps(closed, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
