"""What a device draws by chance, so that the server cannot draw it again.

Orders of rows, dropout masks and samples of rows come from a seed. A server that knew it would know
which rows every sum over a batch is of, and could solve enough sums for the rows. So a device mixes
a secret of its own in, drawn once and kept on its disk. The same round of the same run still draws
the same, as a run that is resumed needs.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

from frugalfl.errors import RunError

_BYTES = 32
_NAME = "secret"


class Chance:
    """Seeds of one device.

    Args:
        folder: The device's own, on its disk; the secret is made there when it is first needed.
        number: The client's.
        seed: To draw from instead of the secret, for experiments that must repeat; ``None``: none.
    """

    def __init__(self, folder: Path, number: int, seed: int | None) -> None:
        self._folder = folder
        self._number = number
        self._seed = seed
        self._secret = b""

    def of_round(self, seed: int, number: int) -> tuple[int, ...]:
        """Return the seed of a round.

        Args:
            seed: The run's.
            number: The round's.

        Raises:
            RunError: The disk does not keep the secret, or gives back another file.
        """
        if self._seed is not None:
            return (self._seed, self._number, number)
        self._secret = self._secret or _secret(self._folder)
        about = f"{seed} {self._number} {number}".encode()
        return (int.from_bytes(hashlib.blake2b(about, key=self._secret, digest_size=32).digest()),)


def _secret(folder: Path) -> bytes:
    """Return the secret in a folder, made if there is none.

    Raises:
        RunError: The disk does not keep it, or it is damaged.
    """
    path = folder / _NAME
    try:
        _make(path)
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(handle, "rb") as file:
            secret = file.read(_BYTES + 1)
    except OSError as error:
        raise RunError(f"cannot keep this device's secret {path}: {error}") from error
    if len(secret) != _BYTES:
        raise RunError(
            f"this device's secret {path} has {len(secret)} B in place of {_BYTES}; delete it, and "
            "a new one is drawn"
        )
    return secret


def _make(path: Path) -> None:
    """Draw a secret, unless there is one: whole or not at all, and for its owner only."""
    if path.is_symlink() or path.exists():
        return
    part = path.with_name(f".{_NAME}-{secrets.token_hex(8)}")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_BYTES))
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)  # unlike a replacement, it fails if another process was first
    except FileExistsError:
        pass
    finally:
        part.unlink()
