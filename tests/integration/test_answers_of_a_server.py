"""A node in front of a server that answers without end: it reads so much, says so, and goes on."""

import socket
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from frugalfl_client.node.channel import ANSWER_BYTES, Address, Channel, UnreachableError
from frugalfl_client.node.flower import Fleet

_PIECE = b"x" * 65536
_ENDLESS = 1 << 34
#: Far less than what is sent, and more than Python grows by itself (kB).
_GROWTH_KB = 32_000


def declared(far):
    far.sendall(f"HTTP/1.1 200 OK\r\ncontent-length: {_ENDLESS}\r\n\r\n".encode())
    poured(far, lambda: _PIECE)


def chunked(far):
    far.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    poured(far, lambda: b"10000\r\n" + _PIECE + b"\r\n")


def tiny_chunks(far):
    far.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    poured(far, lambda: b"10\r\n" + b"x" * 16 + b"\r\n")


def one_chunk(far):
    far.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7fffffff\r\n")
    poured(far, lambda: _PIECE)


def until_closed(far):
    far.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
    poured(far, lambda: _PIECE)


def refusing(far):
    far.sendall(f"HTTP/1.1 401 No\r\ncontent-length: {_ENDLESS}\r\n\r\n".encode())
    poured(far, lambda: _PIECE)


def poured(far, piece):
    try:
        while True:
            far.sendall(piece())
    except OSError:
        pass


class Server:
    """Answers one connection after the other, each with what is set."""

    def __init__(self):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = Address("127.0.0.1", self._socket.getsockname()[1])
        self.answer = declared
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        try:
            while True:
                far, _ = self._socket.accept()
                with far:
                    far.recv(65536)
                    self.answer(far)
        except OSError:
            pass

    def close(self):
        self._socket.close()


@pytest.fixture
def server():
    started = Server()
    yield started
    started.close()


@pytest.fixture
def fleet(server):
    channel = Channel(server.address, None)
    yield Fleet(channel, ec.generate_private_key(ec.SECP384R1()))
    channel.close()


def memory_kb():
    """Return the most that this process ever held since the mark was cleared."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])


@pytest.mark.parametrize(
    "answer", [declared, chunked, tiny_chunks, one_chunk, until_closed, refusing]
)
def test_an_endless_answer_is_read_to_its_bound_only(server, fleet, answer):
    server.answer = answer
    Path("/proc/self/clear_refs").write_text("5")
    before = memory_kb()
    with pytest.raises(UnreachableError, match=f"longer than the {ANSWER_BYTES} B that are read"):
        fleet.activate(30.0)
    assert memory_kb() - before < _GROWTH_KB
    assert fleet.clock is None


def whole(far):
    far.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n\x08\x07")


def cut_short(far):
    far.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n\x08\x07")


def test_the_same_channel_goes_on_when_the_server_is_sound_again(server, fleet):
    with pytest.raises(UnreachableError):
        fleet.activate(30.0)
    server.answer = whole
    assert fleet.activate(30.0) == 7


def test_an_answer_that_ends_early_is_none(server, fleet):
    server.answer = cut_short
    with pytest.raises(UnreachableError, match="no connection"):
        fleet.activate(30.0)
