"""The front as a child process: started after everything else, told who may join, and revived."""

from __future__ import annotations

import json
import logging
import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from frugalfl.errors import RunError
from frugalfl_server.serve.place import Place
from frugalfl_server.serve.processes import end_with_parent

_log = logging.getLogger(__name__)

#: Most seconds until it listens, and until it has ended.
_START_S, _END_S = 30.0, 5.0
_PIECE = 65536


class FrontProcess:
    """A front, for as long as the ``with`` block lasts.

    What it has to know, paths included, goes through its input, and what it says comes back from
    its output: nothing is on its command line, and it ends when this process does.
    """

    def __init__(self, place: Place, superlink: int, log: Path) -> None:
        """Say what to start; nothing is started yet.

        Args:
            place: Where to listen, with which certificates, and what may be asked.
            superlink: Port of the SuperLink on this machine.
            log: File for what only its makers understand.
        """
        tls = place.tls
        self._order = {
            "listen": [place.host, place.port],
            "superlink": ["127.0.0.1", superlink],
            "tls": tls and {name: str(file) for name, file in asdict(tls).items()},
            "limits": asdict(place.limits),
        }
        self._keys: list[str] | None = None
        self._log = log
        self._see = f"see the end of {log}"
        self._rest = b""
        self._child: subprocess.Popen[bytes] | None = None
        #: How often it was started again.
        self.revived = 0

    def __enter__(self) -> FrontProcess:
        """Start it; :meth:`admit` may have been called before.

        Raises:
            RunError: It does not listen.
        """
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it, and hand on what it said."""
        child = self._child
        if child is None or child.stdin is None:
            return
        with suppress(BrokenPipeError):
            child.stdin.close()
        try:
            child.wait(_END_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        self._hear()
        assert child.stdout is not None
        child.stdout.close()
        self._child = None

    def admit(self, keys: frozenset[bytes]) -> None:
        """Let nodes with these public keys (PEM) in, and no others."""
        self._keys = sorted(key.decode("ascii") for key in keys)
        if self._child is not None:
            self._tell(self._keys)

    def tend(self) -> None:
        """Hand on what it said, and start it again if it died; call it again and again.

        Raises:
            RunError: It does not start.
        """
        self._hear()
        child = self._child
        if child is not None and child.poll() is not None:
            _log.info(f"the front ended ({child.returncode}): starts again")
            self.__exit__()
            self._start()
            self.revived += 1

    def _start(self) -> None:
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "frugalfl_server.serve.front"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                preexec_fn=end_with_parent,  # noqa: PLW1509 (this process has one thread)
            )
        assert self._child.stdout is not None
        os.set_blocking(self._child.stdout.fileno(), False)
        self._tell(self._order | {"admitted": self._keys})
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise

    def _wait(self) -> None:
        """Wait until it listens.

        Raises:
            RunError: It says otherwise, or nothing.
        """
        ends_s = time.monotonic() + _START_S
        while time.monotonic() < ends_s:
            lines = self._lines()
            if "listening" in lines:
                return
            if lines or (self._child is not None and self._child.poll() is not None):
                raise RunError(f"the front does not start: {' '.join(lines) or self._see}")
        raise RunError(f"the front does not start: {self._see}")

    def _tell(self, order: object) -> None:
        assert self._child is not None and self._child.stdin is not None
        with suppress(BrokenPipeError):  # it is dead, and is told everything when it starts again
            self._child.stdin.write(json.dumps(order).encode() + b"\n")
            self._child.stdin.flush()

    def _hear(self) -> None:
        for line in self._lines(0.0):
            _log.info(line)

    def _lines(self, seconds: float = 0.2) -> list[str]:
        """Return the whole lines that it has written since; wait so long for some."""
        if self._child is None or self._child.stdout is None:
            return []
        select.select([self._child.stdout], [], [], seconds)
        data = self._child.stdout.read(_PIECE) or b""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line.decode(errors="replace") for line in lines]
