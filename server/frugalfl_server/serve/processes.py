"""Flower's SuperLink and SuperExec as child processes, so that one command is a server.

They are apart (``--isolation process``) and the SuperLink keeps its state in a file: a SuperLink
that dies is started again, and the ServerApp and the nodes, which try again for a while, go on.
Inside one process (Flower's default) the ServerApp would die with it.
"""

from __future__ import annotations

import ctypes
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frugalfl.atomic import check_private_key, open_private, write_atomically
from frugalfl.errors import RunError, UsageError

_log = logging.getLogger(__name__)

#: Most seconds until a SuperLink that was started takes connections.
_START_S = 120.0
#: Most seconds that a child may take to end once it was asked to.
_END_S = 15.0
_PR_SET_PDEATHSIG = 1
#: Loaded before anything is started: a child that is being made must not load a library.
_LIBC: Any = ctypes.CDLL(None) if sys.platform == "linux" else None
#: What Flower's programs write (database, apps, logs) is nobody else's to read.
_UMASK = 0o077


@dataclass(frozen=True)
class Tls:
    """Where the server's certificates are."""

    ca: Path
    certificate: Path
    key: Path

    @classmethod
    def of(cls, folder: Path) -> Tls:
        """Find them in a folder: ``ca.crt``, ``server.pem`` and ``server.key``.

        Raises:
            UsageError: One is missing, or the key is open to others.
        """
        files = [(folder / name).resolve() for name in ("ca.crt", "server.pem", "server.key")]
        for file in files:
            if not file.is_file():
                raise UsageError(
                    f"there is no {file}: --tls takes a folder with ca.crt, server.pem and "
                    "server.key (docs/serve.md makes them), or use --insecure on a trusted network"
                )
        check_private_key(files[-1])
        return cls(*files)


@dataclass(frozen=True)
class Flower:
    """Where Flower's own files are, and how its programs are called.

    Attributes:
        state: Folder for the SuperLink's database, its log, and the apps that it unpacks.
    """

    state: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment of Flower's programs: a home of their own, no calls to its makers."""
        return {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "FLWR_HOME": str(self.state / "flwr"),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        }

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Call ``flwr`` and wait for it."""
        return subprocess.run(
            [_program("flwr"), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            umask=_UMASK,
        )


class SuperLink:
    """A SuperLink and its SuperExec, for as long as the ``with`` block lasts."""

    def __init__(self, flower: Flower, tls: Tls | None, registered_only: bool) -> None:
        """Say what to start; nothing is started yet.

        It listens on loopback only: who reaches it may start runs and stop them.

        Args:
            flower: Where its files are.
            tls: Certificates; ``None``: without TLS.
            registered_only: Only nodes whose keys are registered may join; needs TLS.
        """
        self._flower = flower
        #: Its port on this machine, the same for as long as this object lives.
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        secret = flower.state / "superexec.secret"
        shared = ["--superexec-auth-secret-file", str(secret)]
        trust = ["--insecure"]
        self._link = [_program("flower-superlink"), "--isolation", "process", *shared]
        self._link += ["--host", "127.0.0.1", "--port", str(self.port)]
        self._link += ["--database", str(flower.state / "superlink.db")]
        if tls is None:
            self._link.append("--insecure")
        else:
            trust = ["--root-certificates", str(tls.ca)]
            self._link += ["--ssl-ca-certfile", str(tls.ca)]
            self._link += ["--ssl-certfile", str(tls.certificate), "--ssl-keyfile", str(tls.key)]
        if registered_only:
            self._link.append("--enable-supernode-auth")
        self._exec = [sys.executable, "-m", "frugalfl_server.serve.superexec", *trust, *shared]
        self._exec += ["--runtime-api-address", self.address]
        self._secret = secret
        #: How often the SuperLink was started again.
        self.revived = 0
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> SuperLink:
        """Start both, and wait until the SuperLink takes connections.

        Raises:
            RunError: It does not start.
        """
        if not self._secret.exists():
            write_atomically(self._secret, secrets.token_bytes(32))
        check_private_key(self._secret)
        try:
            self._start("superlink", self._link)
            self._wait()
            self._start("superexec", self._exec)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End both."""
        for child in reversed(self._children.values()):
            child.terminate()
        for child in self._children.values():
            try:
                child.wait(_END_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def revive(self) -> None:
        """Start again what has died.

        Raises:
            RunError: It does not start.
        """
        for name, command in (("superlink", self._link), ("superexec", self._exec)):
            if self._children[name].poll() is not None:
                _log.info(f"the {name} ended ({self._children[name].returncode}): starts again")
                self._start(name, command)
                if name == "superlink":
                    self.revived += 1
                    self._wait()

    def _start(self, name: str, command: Sequence[str]) -> None:
        log_file = open_private(self._flower.state / f"{name}.log", os.O_WRONLY | os.O_APPEND)
        with os.fdopen(log_file, "ab") as log:
            self._children[name] = subprocess.Popen(
                command,
                env=self._flower.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                umask=_UMASK,
                preexec_fn=end_with_parent,  # noqa: PLW1509 (this process has one thread)
            )

    def _wait(self) -> None:
        log = self._flower.state / "superlink.log"
        ends_s = time.monotonic() + _START_S
        while time.monotonic() < ends_s:
            if self._children["superlink"].poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.1)
        raise RunError(f"the SuperLink does not start; the end of {log} says why")


def end_with_parent() -> None:
    """Let a child end when this process does, however it does (Linux).

    At once: nobody waits any more for one that ends slowly, and it would keep its port. What it
    writes to the disk, it writes so that it may be killed.
    """
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _program(name: str) -> str:
    """Return the path of one of Flower's programs, which are beside this Python."""
    return str(Path(sys.executable).with_name(name))
