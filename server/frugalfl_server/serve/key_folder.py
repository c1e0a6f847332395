"""The folder of public keys: whose node may join, also while the server runs."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_public_key,
)

from frugalfl.errors import RunError, UsageError
from frugalfl.text import printable

_log = logging.getLogger(__name__)

#: Between two looks at the folder (s).
_LOOK_S = 1.0
#: Longest file that may be a public key (B); one of P-384 has about 250.
_LONGEST = 8192
_HOW = "on its device make one with: ssh-keygen -t ecdsa -b 384 -N '' -f FILE"

#: A file as it was: when it was changed (ns since 1970), and its length (B).
_State = tuple[int, int]


def read_public_key(path: Path) -> bytes:
    """Return a public key as nodes send it (PEM), of a file that ssh-keygen has written.

    Raises:
        UsageError: Flower would refuse it: it is not ECDSA on P-384, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            key = load_ssh_public_key(file.read(_LONGEST))
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        said = " ".join(str(error).split())
        raise UsageError(f"{printable(str(path))} is no public key ({said}); {_HOW}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp384r1":
        name = printable(str(path))
        raise UsageError(f"{name} is no ECDSA key on P-384, so its node could not join; {_HOW}")
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class Keys:
    """Follows the folder: registers keys that come, and says who may join now.

    A key whose file goes is not unregistered with Flower, which takes a key that ever was never
    again: a folder that was moved by mistake would cost every device its key. The front lets no
    node in whose key is not in the folder, and that is enough.
    """

    def __init__(
        self,
        folder: Path,
        register: Callable[[Path], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with none.

        Args:
            folder: Where the ``*.pub`` are.
            register: Makes the key of a file known to the SuperLink; raises ``RunError``.
            clock: Time in seconds.
        """
        self._folder, self._register, self._clock = folder, register, clock
        self._seen: dict[str, _State] = {}
        self._judged: dict[str, tuple[_State, bytes]] = {}
        self._registered: set[bytes] = set()
        self._failing: set[str] = set()
        self._looked = clock()

    def begin(self) -> frozenset[bytes]:
        """Register all keys that are there, and return them (PEM).

        Raises:
            UsageError: A file is no key.
            RunError: The SuperLink refuses one.
        """
        self._seen = self._states()
        for name, state in self._seen.items():
            key = read_public_key(self._folder / name)
            self._enter(name, key)
            self._judged[name] = (state, key)
        return self._admitted()

    def look(self) -> frozenset[bytes] | None:
        """Return the keys that may join, if they have changed; call it again and again."""
        if self._clock() - self._looked < _LOOK_S:
            return None
        before = self._admitted()
        states = self._states()
        for name in sorted(self._judged.keys() - states.keys()):
            if self._judged.pop(name)[1]:
                _log.info(f"node {_stem(name)}: its key is gone, it may not join any more")
        for name, state in states.items():
            known = self._judged.get(name)
            if self._seen.get(name) == state and (known is None or known[0] != state):
                self._judge(name, state)  # a file that is still being written is left for later
        self._seen = states
        self._looked = self._clock()
        after = self._admitted()
        return None if after == before else after

    def _judge(self, name: str, state: _State) -> None:
        """Register the key of a file that is new or has changed; say what is wrong with it."""
        self._judged[name] = (state, b"")
        try:
            key = read_public_key(self._folder / name)
            self._enter(name, key)
        except UsageError as error:
            _log.info(f"{error}; the other nodes are not concerned")
        except RunError as error:  # it may be about to start again
            del self._judged[name]
            if name not in self._failing:
                _log.info(f"{error}; tried again until it can be")
            self._failing.add(name)
        else:
            self._judged[name] = (state, key)
            self._failing.discard(name)

    def _enter(self, name: str, key: bytes) -> None:
        if key not in self._registered:
            self._register(self._folder / name)
            self._registered.add(key)
        _log.info(f"node {_stem(name)}: may join")

    def _admitted(self) -> frozenset[bytes]:
        return frozenset(key for _, key in self._judged.values() if key)

    def _states(self) -> dict[str, _State]:
        """Return the state of each key file; one that cannot be read just now is as it was."""
        try:
            with os.scandir(self._folder) as entries:
                files = sorted(entry.name for entry in entries if entry.name.endswith(".pub"))
            return {name: state for name in files if (state := _state(self._folder / name))}
        except FileNotFoundError:
            return {}
        except OSError:
            return self._seen


def _state(path: Path) -> _State | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_mtime_ns, about.st_size


def _stem(name: str) -> str:
    return printable(name.removesuffix(".pub"))
