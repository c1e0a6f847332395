"""Where to serve, and what is wrong with that place, found before anything is made there."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from frugalfl.errors import UsageError
from frugalfl_server.serve.processes import Tls

#: Longest wait for a SuperLink that should be there already (s).
_CONNECT_S = 5.0


@dataclass(frozen=True)
class Place:
    """Where to serve.

    Attributes:
        host: Address that the SuperLink listens on.
        port: Its port.
        tls: Certificates; ``None``: without TLS.
        keys: Folder of public keys; only their nodes may join. ``None``: any node.
        superlink: Address of one that runs already; empty: it is started.
        state: Folder for its database and what it unpacks.
    """

    host: str
    port: int
    tls: Tls | None
    keys: Path | None
    superlink: str
    state: Path

    def check(self) -> None:
        """See that it could be served from there, before anything is made.

        Raises:
            UsageError: The port is taken, nothing answers, or a key would be refused.
        """
        if self.superlink:
            _check_answers(self.superlink)
        else:
            _check_free(self.port)
        if self.keys is not None:
            _check_keys(self.keys)


def _check_free(port: int) -> None:
    """See that a SuperLink could listen on a port of this machine.

    Raises:
        UsageError: It is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UsageError(
                f"port {port} is in use: name another with --port, or the SuperLink that "
                f"runs there with --superlink 127.0.0.1:{port}"
            ) from error


def _check_answers(address: str) -> None:
    """See that something takes connections at ``HOST:PORT``.

    Raises:
        UsageError: That is no address, or nothing answers there.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"--superlink is {address!r}; write HOST:PORT, e.g. 127.0.0.1:8000")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
    except OSError as error:
        raise UsageError(
            f"nothing answers at --superlink {address} ({error.strerror or error}): start "
            "flower-superlink there, or leave --superlink out and one is started"
        ) from error


def _check_keys(folder: Path) -> None:
    """See that Flower would register the public keys of a folder: ECDSA on P-384.

    Raises:
        UsageError: It would refuse one; which, and what to do.
    """
    for path in sorted(folder.glob("*.pub")):
        how = "on its device make one with: ssh-keygen -t ecdsa -b 384 -N '' -f FILE"
        try:
            key = load_ssh_public_key(path.read_bytes())
        except (OSError, ValueError, UnsupportedAlgorithm) as error:
            raise UsageError(f"{path} is no public key ({error}); {how}") from error
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp384r1":
            raise UsageError(f"{path} is no ECDSA key on P-384, so its node could not join; {how}")
