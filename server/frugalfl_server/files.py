"""Files that are there whole or not at all, and JSON that knows if it was changed.

A flipped bit in a digit is still JSON. So what a run is resumed, exported or reported from has a
``checksum``, BLAKE2b over the rest of it in one fixed form; other programs may ignore it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from frugalfl.errors import RunError

_CHECKSUM = "checksum"
#: What Python raises over a value that is not what it should be.
_WRONG = (
    ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError,
)  # fmt: skip


def write_atomically(path: Path, write: Callable[[Path], object], durable: bool = False) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then put it in its place.

    With ``durable`` it is on the disk when this returns, whatever happens to the power.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        write(part)
        if durable:
            _sync(part)
        os.replace(part, path)
        if durable:
            _sync(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: Any, durable: bool = False) -> None:
    """Write JSON atomically, indented, for people and programs; ``durable`` as above."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"), durable)


def write_sealed(path: Path, value: dict[str, Any], durable: bool = False) -> None:
    """Write a JSON object with its checksum, atomically; ``durable`` as above."""
    write_json(path, value | {_CHECKSUM: _checksum(value)}, durable)


def read_sealed(path: Path) -> tuple[dict[str, Any], bool]:
    """Read a JSON object without its checksum; return also whether it had one.

    Raises:
        RunError: It is missing or damaged.
    """
    with reading(path):
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
        if not isinstance(value, dict):
            raise ValueError(f"it holds a {type(value).__name__}, not an object")
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
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _refuse(name: str) -> float:
    raise ValueError(f"it holds {name}")


def changed_ns(path: Path) -> int:
    """Return when a file was last written (ns since 1970); 0: it is not there."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def short_path(path: Path) -> Path:
    """Return a path as it is typed in the working folder."""
    here = Path.cwd()
    return Path(os.path.relpath(path, here)) if path.is_relative_to(here) else path
