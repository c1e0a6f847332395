"""A TCP proxy that writes down every byte and when it came, and reads the HTTP/1.1 in it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

_PAYLOAD = ("push-object", "pull-object", "push-messages", "pull-messages")
_POLLING = ("pull-messages", "send-node-heartbeat")


@dataclass
class Line:
    """One connection: pieces of what went up and down, each with its time (s, monotonic)."""

    up: list[tuple[float, bytes]] = field(default_factory=list)
    down: list[tuple[float, bytes]] = field(default_factory=list)


@dataclass(frozen=True)
class Traffic:
    """Bytes of a stretch of time; ``payload`` and ``polling`` are 0 where they were encrypted."""

    up: int
    down: int
    payload: int
    polling: int
    posts: int

    @property
    def total(self) -> int:
        """Bytes both ways."""
        return self.up + self.down

    @property
    def rest(self) -> int:
        """Bytes of headers and confirmations."""
        return self.total - self.payload - self.polling


@dataclass(frozen=True)
class Exchange:
    """One request and its answer: when it was sent (s), where to, and bytes of the four parts."""

    when: float
    path: str
    head: int
    body: int
    answer_head: int
    answer_body: int

    @property
    def total(self) -> int:
        """All its bytes."""
        return self.head + self.body + self.answer_head + self.answer_body

    @property
    def is_payload(self) -> bool:
        """Say whether its bodies are messages and their objects."""
        return self.path.endswith(_PAYLOAD) and not self.is_polling

    @property
    def is_polling(self) -> bool:
        """Say whether it found nothing, or only says that the node is there."""
        return self.path.endswith(_POLLING) and not (
            self.answer_body and self.path.endswith("pull-messages")
        )


class TcpProxy:
    """Listen on a port of this machine and hand everything on to another one."""

    def __init__(self, to: int) -> None:
        self.lines: list[Line] = []
        self._to = to
        self._cut = False
        self._ends: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Break every connection, and take no more."""
        self.cut()
        self._listener.close()

    def cut(self) -> None:
        """Break every connection, and each new one, until :meth:`mend`."""
        self._cut = True
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._ends.clear()

    def mend(self) -> None:
        """Let connections through again."""
        self._cut = False

    def between(self, begin: float, end: float) -> Traffic:
        """Return the bytes that passed in a stretch of time, of which those of the payload."""
        lines = list(self.lines)
        up = sum(_within(line.up, begin, end) for line in lines)
        down = sum(_within(line.down, begin, end) for line in lines)
        exchanges = self.exchanges(begin, end)
        payload = sum(one.body + one.answer_body for one in exchanges if one.is_payload)
        polling = sum(one.total for one in exchanges if one.is_polling)
        return Traffic(up, down, payload, polling, len(exchanges))

    def exchanges(self, begin: float, end: float) -> list[Exchange]:
        """Return the requests of a stretch of time in order; none where they are encrypted."""
        found = [one for line in list(self.lines) for one in _exchanges(line)]
        return sorted((one for one in found if begin <= one.when < end), key=lambda one: one.when)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._cut:
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                near.close()
                continue
            line = Line()
            self.lines.append(line)
            self._ends += [near, far]
            for source, sink, record in ((near, far, line.up), (far, near, line.down)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=_carry, args=(source, sink, record), daemon=True).start()


def _carry(source: socket.socket, sink: socket.socket, record: list[tuple[float, bytes]]) -> None:
    try:
        while data := source.recv(65536):
            record.append((time.monotonic(), data))
            sink.sendall(data)
    except OSError:
        pass
    finally:
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()


def _within(pieces: list[tuple[float, bytes]], begin: float, end: float) -> int:
    return sum(len(data) for when, data in pieces if begin <= when < end)


def _exchanges(line: Line) -> Iterator[Exchange]:
    """Yield the requests of one connection that were answered."""
    for request, response in zip(_messages(line.up), _messages(line.down), strict=False):
        when, head, body, size = request
        path = head.split(b" ", 2)[1].decode("latin-1")
        _, _, answer, answer_size = response
        yield Exchange(
            when, path, size - len(body), len(body), answer_size - len(answer), len(answer)
        )


def _messages(pieces: list[tuple[float, bytes]]) -> Iterator[tuple[float, bytes, bytes, int]]:
    """Yield time, head, body and size of each HTTP message; none, if they are encrypted."""
    stream = b"".join(data for _, data in pieces)
    starts, position = [], 0
    for when, data in pieces:
        starts.append((position, when))
        position += len(data)
    position = 0
    while position < len(stream):
        end = stream.find(b"\r\n\r\n", position)
        if end < 0 or stream[position : position + 4] not in (b"POST", b"HTTP"):
            return
        head = stream[position:end]
        length = 0
        for row in head.lower().split(b"\r\n"):
            if row.startswith(b"content-length:"):
                length = int(row.partition(b":")[2])
        body = stream[end + 4 : end + 4 + length]
        when = max(time for start, time in starts if start <= position)
        size = end + 4 + length - position
        yield when, head, body, size
        position += size
