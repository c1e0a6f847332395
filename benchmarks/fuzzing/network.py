"""What a node reads from the network: HTTP answers, Flower's messages in them, app bundles."""

from __future__ import annotations

import io
import json
import random
import shutil
import socket
import tempfile
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Message
from flwr.common.serde import message_to_proto
from flwr.proto.fleet_pb2 import PullMessagesResponse
from flwr.supercore.inflatable.inflatable_object import get_object_tree

from frugalfl import wire
from frugalfl_client.node.bundle import unpack
from frugalfl_client.node.channel import Address, Channel
from frugalfl_client.node.flower import Fleet, RunOverError
from fuzzing.decoder import Decoder
from fuzzing.mutate import bytes_like, json_like, text_like


def decoders() -> Iterator[Decoder]:
    """Yield them."""
    server = _Server()
    key = ec.generate_private_key(ec.SECP384R1())
    channel = Channel(server.address, None)
    fleet = Fleet(channel, key)
    pulled = _message()
    yield Decoder("HTTP answer", [_http(pulled.SerializeToString())], bytes_like,
                  _asked(server, channel, lambda: fleet.pull(1)), 0.4, 20_000_000)  # fmt: skip
    yield Decoder(
        "message in an HTTP answer", [pulled.SerializeToString()], bytes_like,
        _asked(server, channel, lambda: _fetched(fleet), _http), 0.4, 20_000_000,
    )  # fmt: skip
    refusal = json.dumps({"code": 2007, "detail": "the run is over"}).encode()
    yield Decoder(
        "HTTP refusal", [refusal], json_like,
        _asked(server, channel, lambda: _refused(fleet), _refusal), 0.4, 20_000_000,
    )  # fmt: skip
    yield _bundles()


def _refused(fleet: Fleet) -> None:
    with suppress(RunOverError):  # what the sample says: the node goes on to the next message
        fleet.pull(1)


def _message() -> PullMessagesResponse:
    content = wire.pack_request(wire.TrainRequest("r", 3, -1, 4, (0, 1), b"frames", "raw"))
    message = Message(content, dst_node_id=1, message_type="train")
    message.metadata.__dict__["_message_id"] = "1" * 64
    answer = PullMessagesResponse()
    answer.messages_list.append(message_to_proto(message))
    answer.message_object_trees.append(get_object_tree(message))
    return answer


def _fetched(fleet: Fleet) -> None:
    incoming = fleet.pull(1)
    if incoming is not None and incoming.message.has_content() and incoming.message.content:
        wire.unpack_request(fleet.fetch(1, incoming))


def _http(body: bytes, status: str = "200 OK") -> bytes:
    lines = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\ncontent-type: a/b\r\n"
    return f"{lines}date: Mon, 30 Nov 2026 04:00:00 GMT\r\n\r\n".encode() + body


def _refusal(body: bytes) -> bytes:
    return _http(body, "403 Forbidden")


class _Server:
    """Answers each request with the bytes that are next, and closes the connection."""

    def __init__(self) -> None:
        self.answer = b""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = Address(*self._socket.getsockname()[:2])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection:
                try:
                    connection.recv(1 << 16)
                    connection.sendall(self.answer)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(1 << 16):
                        pass
                except OSError:
                    continue


def _asked(
    server: _Server, channel: Channel, ask: Callable[[], object],
    wrap: Callable[[bytes], bytes] = bytes,
) -> Callable[[bytes], object]:  # fmt: skip
    def decode(data: bytes) -> object:
        server.answer = wrap(data)
        try:
            return ask()
        finally:
            channel.close()

    return decode


def _bundles() -> Decoder:
    cache = Path(tempfile.mkdtemp(prefix="fuzz-"))
    project = """[project]\nname = "x"\nversion = "1"\n[tool.flwr.app]\npublisher = "p"
[tool.flwr.app.components]\nserverapp = "frugalfl_server.app:app"
clientapp = "frugalfl_client.app:app"\n[tool.flwr.app.config]\nrounds = 3\n"""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as bundle:
        bundle.writestr("pyproject.toml", project)
        bundle.writestr("data/x.json", "{}")

    def decode(data: bytes) -> None:
        try:
            unpack(data, cache / "apps")
            if [path.name for path in cache.iterdir()] != ["apps"]:
                raise AssertionError("a file lies outside of the bundle's folder")
        finally:
            shutil.rmtree(cache / "apps", ignore_errors=True)

    return Decoder("app bundle", [made.getvalue()], _bundle_like, decode, 0.3, 20_000_000)


def _bundle_like(data: bytes, rng: random.Random) -> bytes:
    """Change a bundle's bytes, its names, or its project file."""
    if rng.random() < 0.5:
        return bytes_like(data, rng)
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as whole, zipfile.ZipFile(made, "w") as other:
        for name in whole.namelist():
            text = whole.read(name).decode()
            written = name
            if rng.random() < 0.5:
                written = rng.choice(
                    ("../x", "/x", "a/../../x", "y", "x" * 300, "a\0b", "pyproject.toml/x", name)
                )
            elif name == "pyproject.toml":
                text = text_like(text, rng).encode(errors="replace").decode()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # a name twice is one of the attacks
                other.writestr(written, text)
    return made.getvalue()
