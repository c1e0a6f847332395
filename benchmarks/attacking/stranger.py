"""What a stranger on the network can send: raw bytes, with or without TLS, and signed requests."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_private_key,
)

HEARTBEAT = "/v1/fleet/send-node-heartbeat"
_CRLF = "\r\n"


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a key that nobody knows."""
    return ec.generate_private_key(ec.SECP384R1())


def key_of(file: Path) -> ec.EllipticCurvePrivateKey:
    """Return a node's key."""
    key = load_ssh_private_key(file.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def signed(key: ec.EllipticCurvePrivateKey, age_s: float = 0.0) -> list[str]:
    """Return the headers that say who speaks, as a node sends them."""
    now = datetime.now(UTC) - timedelta(seconds=age_s)
    text = now.strftime("%Y%m%dT%H%M%SZ")
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signature = key.sign(text.encode(), ec.ECDSA(hashes.SHA256()))
    return [
        "content-type: application/protobuf",
        f"flwr-public-key: {b64encode(public).decode()}",
        f"flwr-timestamp: {text}",
        f"flwr-signature: {b64encode(signature).decode()}",
    ]


def request(
    target: str, headers: Sequence[str] = (), body: bytes = b"", method: str = "POST",
    version: str = "HTTP/1.1", length: int | None = None,
) -> bytes:  # fmt: skip
    """Return a request's bytes; ``length`` is what it says of its body."""
    lines = [f"{method} {target} {version}", "host: x", *headers]
    if not any(line.lower().startswith(("transfer-", "content-length")) for line in headers):
        lines.append(f"content-length: {len(body) if length is None else length}")
    return _CRLF.join([*lines, "", ""]).encode("latin-1") + body


def statuses(answer: bytes) -> list[int]:
    """Return the statuses of the answers in what a server has sent."""
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3})", answer)]


@dataclass
class Stranger:
    """Connects to one address from one of this machine's, 127.0.0.1 to 127.255.255.254.

    Attributes:
        port: Where the server listens.
        ca: Certificate of its authority, which anybody may have; ``None``: no TLS.
        source: Address that the connections come from.
        held: Connections that are kept open.
    """

    port: int
    ca: Path | None = None
    source: str = "127.0.0.1"
    held: list[socket.socket] = field(default_factory=list)

    def connect(self, seconds: float = 20.0) -> socket.socket:
        """Open a connection, with its handshake done."""
        plain = self.half_open(seconds)
        if self.ca is None:
            return plain
        context = ssl.create_default_context(cafile=self.ca)
        return context.wrap_socket(plain, server_hostname="127.0.0.1")

    def half_open(self, seconds: float = 20.0) -> socket.socket:
        """Open a connection, and say nothing on it."""
        return socket.create_connection(("127.0.0.1", self.port), seconds, (self.source, 0))

    def ask(self, data: bytes, seconds: float = 20.0) -> bytes:
        """Send bytes and return all that comes back, until the server ends it or falls silent."""
        answer = b""
        with contextlib.suppress(OSError), self.connect(seconds) as connection:
            connection.sendall(data)
            while piece := connection.recv(65536):
                answer += piece
        return answer

    def first(self, data: bytes, seconds: float = 20.0) -> int:
        """Send a request and return the status of the first answer; 0: none came."""
        with contextlib.suppress(OSError), self.connect(seconds) as connection:
            connection.sendall(data)
            return (statuses(connection.recv(65536)) or [0])[0]
        return 0

    def pour(self, head: bytes, piece: bytes, most: int) -> tuple[int, bytes]:
        """Send a body without end; return how much of it left (B), and the answer."""
        sent, answer = 0, b""
        with contextlib.suppress(OSError), self.connect() as connection:
            connection.sendall(head)
            with contextlib.suppress(OSError):
                while sent < most:
                    connection.sendall(piece)
                    sent += len(piece)
            answer = connection.recv(65536)
        return sent, answer

    def hold(self, number: int, data: bytes = b"") -> int:
        """Open connections and leave them, with ``data`` sent on each; return their number."""
        for _ in range(number):
            with contextlib.suppress(OSError):
                connection = self.half_open(5.0)
                self.held.append(connection)
                connection.sendall(data)
        return len(self.held)

    def release(self) -> None:
        """Close what is held."""
        for connection in self.held:
            connection.close()
        self.held.clear()


#: The beginning of a TLS handshake, and no more of it: a record of a ClientHello, cut off.
HALF_A_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32)

#: Targets that mean ``/v1/control/list-runs`` to some program on the way, and ``/v1/fleet/`` to
#: another.
PATHS = (
    "/v1/control/list-runs", "//v1/control/list-runs", "/v1/fleet/../control/list-runs",
    "/v1/fleet/%2e%2e/control/list-runs", "/v1/fleet/..%2fcontrol/list-runs",
    "/v1/fleet/%2e%2e%2fcontrol%2flist-runs", "/v1/fleet/..;/control/list-runs",
    "/v1/fleet/..\\control\\list-runs", "/v1/fleet/get-run/../../control/list-runs",
    "/v1/fleet/get-run?/../../control/list-runs", "/v1/fleet/get-run#/../control/list-runs",
    "/V1/CONTROL/LIST-RUNS", "/v1/fleet/./get-run", "/v1/fleet//get-run", "/v1/fleet/get-run/",
    "/v1/fleet/get-run%00", "/v1/fleet/get%2drun", "/v1/runtime/acquire-task", "/docs",
    "/openapi.json", "/health", "*", "v1/control/list-runs",
    "http://127.0.0.1/v1/control/list-runs", "http://127.0.0.1/v1/fleet/get-run",
    "/v1/fleet/get-run/..%c0%af..%c0%afcontrol", "/%76%31/control/list-runs",
)  # fmt: skip


def tricks(key: ec.EllipticCurvePrivateKey) -> dict[str, bytes]:
    """Return requests that two programs may read differently, signed by a node that may join."""
    hidden = request("/v1/control/list-runs", ["content-type: application/protobuf"])
    chunked = b"0\r\n\r\n" + hidden
    by = signed(key)

    def with_(*headers: str, body: bytes = hidden, **more: str) -> bytes:
        return request(more.pop("target", HEARTBEAT), [*by, *headers], body, **more)

    length = f"content-length: {len(chunked)}"
    return {
        "both lengths": with_("transfer-encoding: chunked", length, body=chunked),
        "both lengths, turned": with_(length, "transfer-encoding: chunked", body=chunked),
        "chunked": with_("transfer-encoding: chunked", body=chunked),
        "chunked, spaced": with_("transfer-encoding : chunked", length, body=chunked),
        "chunked, disguised": with_("transfer-encoding: xchunked", length, body=chunked),
        "chunked twice": with_("transfer-encoding: chunked, identity", length, body=chunked),
        "two lengths": with_("content-length: 0", f"content-length: {len(hidden)}"),
        "two in one": with_(f"content-length: 0, {len(hidden)}"),
        "negative length": with_("content-length: -1"),
        "length with a sign": with_(f"content-length: +{len(hidden)}"),
        "length in hex": with_("content-length: 0x10"),
        "folded header": with_("x: 1\r\n content-length: 5", "content-length: 0"),
        "line feeds": with_("content-length: 0").replace(b"\r\n", b"\n"),
        "a null": with_("x: a\0b", "content-length: 0"),
        "two keys": with_(signed(new_key())[1], "content-length: 0"),
        "two content types": with_("content-type: text/plain", "content-length: 0"),
        "HTTP/1.0": with_("content-length: 0", version="HTTP/1.0"),
        "HTTP/0.9": b"GET /v1/control/list-runs\r\n\r\n",
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(64),
        "upgrade": with_("connection: upgrade", "upgrade: h2c", "content-length: 0"),
        "expect": with_("expect: 100-continue", "content-length: 5"),
        "TRACE": with_("content-length: 0", method="TRACE"),
        "CONNECT": with_("content-length: 0", method="CONNECT", target="127.0.0.1:22"),
        "GET": with_("content-length: 0", method="GET"),
        "another method in a header": with_(
            "x-http-method-override: GET", "x-original-url: /v1/control/list-runs",
            "content-length: 0", target="/v1/control/list-runs",
        ),
        "a proxy's header": with_("content-length: 0", target="/v1/fleet/x"),
    }  # fmt: skip
