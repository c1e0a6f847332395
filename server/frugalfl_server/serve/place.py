"""Where to serve, and what is wrong with that place, found before anything is made there."""

from __future__ import annotations

import errno
import re
import socket
from dataclasses import dataclass
from pathlib import Path

from frugalfl.errors import UsageError
from frugalfl_server.serve.front.limits import FrontLimits
from frugalfl_server.serve.key_folder import read_public_key
from frugalfl_server.serve.processes import Tls

#: Longest wait for a SuperLink that should be there already (s).
_CONNECT_S = 5.0


@dataclass(frozen=True)
class Place:
    """Where to serve.

    Attributes:
        host: Address that nodes reach; a front listens there, and the SuperLink behind it.
        port: Its port.
        limits: What may be asked of the front.
        tls: Certificates; ``None``: without TLS.
        keys: Folder of public keys; only their nodes may join. ``None``: any node.
        superlink: Address of one that runs already; empty: it is started.
        state: Folder for its database and what it unpacks.
    """

    host: str
    port: int
    limits: FrontLimits
    tls: Tls | None
    keys: Path | None
    superlink: str
    state: Path

    def check(self) -> None:
        """See that it could be served from there, before anything is made.

        Raises:
            UsageError: The port is taken, nothing answers, or a key would be refused.
        """
        if self.keys is not None:
            _check_keys(self.keys)
        if self.superlink:
            _check_answers(self.superlink)
        else:
            _check_free(self.host, self.port)


def _check_free(host: str, port: int) -> None:
    """See that a server could listen on an address and port of this machine.

    Raises:
        UsageError: It is taken, or no address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if not isinstance(error, socket.gaierror) and error.errno == errno.EADDRNOTAVAIL:
                raise UsageError(f"--host {host} is no address of this machine") from error
            if error.errno != errno.EADDRINUSE:
                raise UsageError(f"nothing can listen on --host {host}: {error}") from error
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
    if not colon or not host or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise UsageError(f"--superlink is {address!r}; write HOST:PORT, e.g. 127.0.0.1:8000")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
    except OSError as error:
        raise UsageError(
            f"nothing answers at --superlink {address} ({error.strerror or error}): start "
            "flower-superlink there, or leave --superlink out and one is started"
        ) from error


def _check_keys(folder: Path) -> None:
    """See that Flower would register the public keys of a folder.

    Raises:
        UsageError: It would refuse one; which, and what to do.
    """
    for path in sorted(folder.glob("*.pub")):
        read_public_key(path)
