"""Files that are there whole or not at all, that others cannot read, and that are no link.

The one place in which FrugalFL creates files of its own. A name that can be guessed, such as the
temporary one beside a file, may be taken by somebody who can write to the folder: as a link to
another file, which would be written in its place, or as a file that he can read. So nothing is ever
opened through a link (``O_NOFOLLOW``), a temporary file is always a new one (``O_EXCL``), and what
is kept open for long must be a regular file under one name only.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from frugalfl.errors import UsageError

#: A file's content, or what writes it.
Content = bytes | Callable[[BinaryIO], object]
#: Rights of folders and files for nobody but their owner, and the part that would be others'.
_FOLDER, _FILE, _OTHERS = 0o700, 0o600, 0o077
#: How often a temporary name that is taken again and again is cleared.
_TRIES = 8
_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC


def write_atomically(
    path: Path, content: Content, durable: bool = False, shared: bool = False
) -> None:
    """Write a temporary file beside ``path``, then put it in its place, all of it or nothing.

    A link at ``path`` is replaced, and what it points at is left alone.

    Args:
        path: The file; its folder is made if need be, with the same rights.
        content: Its bytes, or a function that writes them into an open file.
        durable: It is on the disk when this returns, whatever happens to the power.
        shared: Others may read it as the umask says, as with files that a user asked for; else
            nobody but its owner may.

    Raises:
        OSError: The disk does not take it.
    """
    if shared:
        path.parent.mkdir(parents=True, exist_ok=True)
    else:
        make_private_folder(path.parent)
    part = path.with_name(f".{path.name}.part")
    handle = _new_file(part, 0o666 if shared else _FILE)
    try:
        with os.fdopen(handle, "wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
            _check_still_there(part, file.fileno())
            os.replace(part, path)
        if durable:
            _sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


def write_json(path: Path, value: Any, durable: bool = False, shared: bool = False) -> None:
    """Write JSON atomically, indented, for people and programs; the rest as above."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(path, text.encode(), durable, shared)


def make_private_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, for nobody but their owner.

    One that exists stays as it is: whoever made it decided who may look into it.

    Raises:
        OSError: It cannot be made.
    """
    if path.is_dir():
        return
    if path.parent != path:
        make_private_folder(path.parent)
    path.mkdir(mode=_FOLDER, exist_ok=True)


def open_private(path: Path, flags: int) -> int:
    """Open a file that is kept under one name, such as a log or a lock; make it if need be.

    One of ours that others could read is theirs no more.

    Args:
        path: The file.
        flags: As of :func:`os.open`.

    Returns:
        A file descriptor.

    Raises:
        OSError: It is a link, has a second name, is no regular file, or cannot be opened.
    """
    # Emptied only once it is known what it is: a second name may be of somebody else's file.
    opening = flags & ~os.O_TRUNC | os.O_CREAT | os.O_NONBLOCK | _SAFE
    try:
        handle = os.open(path, opening, _FILE)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a link, which is not followed", str(path)) from error
        raise
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            raise OSError(errno.EPERM, "it is no regular file under one name only", str(path))
        if found.st_mode & _OTHERS and found.st_uid == os.geteuid():
            os.fchmod(handle, _FILE)
        if flags & os.O_TRUNC:
            os.ftruncate(handle, 0)
    except BaseException:
        os.close(handle)
        raise
    return handle


def append_line(path: Path, line: str) -> None:
    """Add a line to a log.

    Raises:
        OSError: As :func:`open_private`.
    """
    handle = open_private(path, os.O_WRONLY | os.O_APPEND)
    with os.fdopen(handle, "a", encoding="utf-8") as log:
        log.write(f"{line}\n")


def claim_database(path: Path) -> None:
    """See to it that SQLite opens a file of our own, and no link; it gives its logs its rights.

    Raises:
        OSError: As :func:`open_private`.
    """
    make_private_folder(path.parent)
    os.close(open_private(path, os.O_RDWR))
    for suffix in ("-wal", "-shm", "-journal"):
        beside = path.with_name(path.name + suffix)
        if beside.is_symlink():
            raise OSError(errno.ELOOP, "it is a link", str(beside))


def check_private_key(path: Path) -> None:
    """See that nobody but the owner of a private key can read it, and that we are that owner.

    Raises:
        UsageError: Others can, or it is another's; with what to do about it.
        OSError: There is no such file.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"the private key {path} is no file")
    if found.st_uid not in (os.geteuid(), 0):
        raise UsageError(
            f"the private key {path} belongs to another user (number {found.st_uid}), who can "
            f"change it: chown {os.geteuid()} {path}, or make a new one"
        )
    if found.st_mode & _OTHERS:
        raise UsageError(
            f"the private key {path} is open to others (mode {stat.S_IMODE(found.st_mode):04o}), "
            f"so it is not used: chmod 600 {path}, or make a new one if others had access to it"
        )


def open_to_others(path: Path) -> str:
    """Say in one line that others can look into a folder, and what to do; empty: they cannot."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & _OTHERS:
        return ""
    return f"others can look into {path} (mode {mode:04o}): chmod 700 {path}"


def _new_file(path: Path, mode: int) -> int:
    """Create a file under a name that may be taken by what a crash, or an attacker, left there."""
    for _ in range(_TRIES):
        path.unlink(missing_ok=True)
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFE, mode)
        except FileExistsError:
            continue
    raise FileExistsError(errno.EEXIST, "somebody makes it again and again", str(path))


def _check_still_there(path: Path, handle: int) -> None:
    """See that a name still means the file that was written, before that name is given away."""
    if not os.path.samestat(os.lstat(path), os.fstat(handle)):
        raise OSError(errno.EBUSY, "another process took its place", str(path))


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
