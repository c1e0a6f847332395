"""A server whose answers have no end, and what a node reads of them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue

from machines import Machines

from attacking.outcome import Outcome

#: More than a node reads of an answer and the system keeps in its buffers (B).
_MOST_TAKEN = 16 << 20
_PATIENCE_S = 120.0
_LINE = "longer than the .* that are read"
_PIECE = b"x" * 65536
#: How an answer begins, and what it goes on with.
ENDLESS: dict[str, tuple[bytes, bytes]] = {
    "declared": (b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n", _PIECE),
    "in chunks": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"10000\r\n" + _PIECE + b"\r\n"
    ),
    "until it closes": (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", _PIECE),
    "as a refusal": (b"HTTP/1.1 401 No\r\ncontent-length: 1000000000000\r\n\r\n", _PIECE),
}  # fmt: skip


class Endless:
    """Answers whoever connects, for as long as anything is taken."""

    def __init__(self, begin: bytes, piece: bytes) -> None:
        self._begin, self._piece = begin, piece
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        #: Bytes that each connection took.
        self.taken: Queue[int] = Queue()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()

    def _serve(self) -> None:
        try:
            while True:
                far, _ = self._socket.accept()
                with far:
                    far.recv(65536)
                    self.taken.put(self._poured(far.sendall))
        except OSError:
            return

    def _poured(self, send: Callable[[bytes], None]) -> int:
        taken = 0
        try:
            send(self._begin)
            while taken < 10 * _MOST_TAKEN:
                send(self._piece)
                taken += len(self._piece)
        except OSError:
            pass
        return taken


def endless_answers(folder: Path) -> Iterator[Outcome]:
    """Let a node ask each of them; it goes on if it asks again."""
    links = Machines(folder)
    try:
        for number, (what, (begin, piece)) in enumerate(ENDLESS.items()):
            yield _asked(links, number, f"an answer without end, {what}", Endless(begin, piece))
    finally:
        links.stop()


def _asked(links: Machines, number: int, what: str, server: Endless) -> Outcome:
    node = links.lean(number, 4, superlink=server.address)
    line = node.wait_for(_LINE)
    # The same line is said once; that the node asks again, the server sees.
    taken = max(server.taken.get(timeout=_PATIENCE_S) for _ in range(2))
    alive = node.alive
    node.kill()
    server.close()
    return Outcome(what, 0 < taken < _MOST_TAKEN, line.strip(), alive)
