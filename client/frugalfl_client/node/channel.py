"""One HTTP/1.1 connection that is kept open: few header bytes, and TLS sessions that are resumed.

The standard library only. Flower's SuperLink closes a connection that was quiet for 5 s, so a
node that asks less often needs a new one each time; with TLS 1.3 a resumed session (RFC 8446,
section 2.2) then spares the certificates, most of a handshake's bytes.
"""

from __future__ import annotations

import base64
import http.client
import re
import select
import socket
import ssl
import threading
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from frugalfl.errors import FederationError, UsageError
from frugalfl.text import printable

#: Longest wait for a connection, and for an answer (s).
CONNECT_S, ANSWER_S = 10.0, 60.0
#: OpenSSL's codes for what a certificate lacks if it is checked strictly (X509_V_ERR_...).
_STRICT = range(80, 94)
#: Longest body of an answer, unless a caller expects more; and what is read of it at once (B).
ANSWER_BYTES, _PIECE = 1 << 20, 1 << 16
#: How a connection ends that the other side gave up while nothing was said on it.
_GONE = (ConnectionError, http.client.RemoteDisconnected, ssl.SSLEOFError, ssl.SSLZeroReturnError)


class UnreachableError(FederationError):
    """No answer, or none that means anything: trying again later may help."""


class RefusedError(FederationError):
    """An answer that stays the same until a person changes something."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        #: Flower's number of the error; 0: it has none.
        self.code = code


@dataclass(frozen=True)
class Answer:
    """What came back: HTTP status, body, and the server's clock where it sent one."""

    status: int
    body: bytes
    date: datetime | None


@dataclass(frozen=True)
class Address:
    """Where a SuperLink listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``HOST:PORT``; an IPv6 address stands in brackets.

        Raises:
            UsageError: It is not of that form.
        """
        host, colon, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        whole = re.fullmatch("[0-9]{1,5}", port) is not None and 0 < int(port) <= 65535
        if not colon or not host or not whole:
            raise UsageError(f"--superlink is {text!r}; write HOST:PORT, e.g. fl.example.org:8000")
        return cls(host, int(port))


def trust(root_certificates: Path | None) -> ssl.SSLContext:
    """Return what a server's certificate is checked with: this file, or what the system trusts.

    Raises:
        UsageError: The file cannot be read, or holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=root_certificates)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"--root-certificates {root_certificates}: {error}; it must be a PEM file with the "
            "certificate that signed the SuperLink's"
        ) from error


class Channel:
    """Requests to one address, one after the other; safe to use from several threads."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None) -> None:
        """Remember where to go; nothing is sent yet. Without ``tls`` nothing is encrypted."""
        self.address = address
        self._tls = tls
        self._socket: socket.socket | None = None
        self._session: ssl.SSLSession | None = None
        self._understood = False  # something was answered: both ends agree about TLS
        self._lock = threading.Lock()

    def post(
        self, path: str, headers: Mapping[str, str], body: bytes, timeout: float = ANSWER_S,
        most: int = ANSWER_BYTES,
    ) -> Answer:  # fmt: skip
        """Send one request and return its answer, whatever its status is.

        Args:
            path: What is asked.
            headers: By name, in lower case.
            body: Of the request.
            timeout: Longest wait for the next bytes of the answer (s).
            most: Longest body of the answer (B); no more is read.

        Raises:
            UnreachableError: There is no connection, it broke, or the answer is too long.
            RefusedError: The server's certificate is not trusted, or it speaks no TLS.
        """
        lines = [f"POST {path} HTTP/1.1", f"host: {self.address}", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        request = "\r\n".join([*lines, "", ""]).encode("ascii") + body
        with self._lock:
            reused = self._still_open()
            try:
                try:
                    return self._exchange(request, timeout, most)
                except _GONE:
                    if not reused:
                        raise
                    self._close()
                    return self._exchange(request, timeout, most)
            except (OSError, http.client.HTTPException) as error:
                self._close()
                raise self._explained(error) from error
            except BaseException:  # a signal: half an answer may still be on its way
                self._close()
                raise

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        with self._lock:
            self._close()

    def _exchange(self, request: bytes, timeout: float, most: int) -> Answer:
        if self._socket is None:
            self._socket = self._connect()
        self._socket.settimeout(timeout)
        self._socket.sendall(request)
        response = http.client.HTTPResponse(self._socket, method="POST")
        try:
            response.begin()
            body = self._body_of(response, most)
        finally:
            response.close()
        self._understood = True
        if isinstance(self._socket, ssl.SSLSocket):
            self._session = self._socket.session or self._session
        if response.will_close:
            self._close()
        return Answer(response.status, body, _date(response.getheader("date")))

    def _body_of(self, response: http.client.HTTPResponse, most: int) -> bytes:
        """Read a body in pieces, chunked or not: a server must not fill the device's memory."""
        body = bytearray()
        too_long = (response.length or 0) > most
        while not too_long and (piece := response.read(_PIECE)):
            body += piece
            too_long = len(body) > most
        if too_long:
            raise UnreachableError(
                f"the answer of {self.address} is longer than the {most} B that are read: is it a "
                "SuperLink, and does nothing stand between?"
            )
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        return bytes(body)

    def _still_open(self) -> bool:
        """Say whether there is a connection to use; data that nobody asked for means its end."""
        if self._socket is not None and select.select([self._socket], [], [], 0)[0]:
            self._close()
        return self._socket is not None

    def _connect(self) -> socket.socket:
        proxy = _proxy_for(self.address, "http" if self._tls is None else "https")
        there = (self.address.host, self.address.port)
        if proxy is not None and proxy.hostname:
            there = (proxy.hostname, proxy.port or 8080)
        plain = socket.create_connection(there, timeout=CONNECT_S)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if proxy is not None:
                _tunnel(plain, self.address, proxy.username, proxy.password)
            if self._tls is None:
                return plain
            host = self.address.host
            return self._tls.wrap_socket(plain, server_hostname=host, session=self._session)
        except BaseException:
            plain.close()
            raise

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _explained(self, error: Exception) -> FederationError:
        """Say in one line what is wrong with the connection, and what to do."""
        to = self.address
        match error:
            case ssl.SSLCertVerificationError(verify_code=code) if code in _STRICT:
                return RefusedError(
                    f"the certificate of the SuperLink at {to}, or that of its CA, lacks what "
                    f"Python 3.13 asks for ({error.verify_message.rstrip('.')}): have both made "
                    "anew as docs/deploy.md says"
                )
            case ssl.SSLCertVerificationError():
                return RefusedError(
                    f"the certificate of the SuperLink at {to} is not trusted "
                    f"({error.verify_message.rstrip('.')}): give --root-certificates the "
                    f"certificate of the CA that signed it, and connect by a name that is in it"
                )
            case ssl.SSLError(reason="WRONG_VERSION_NUMBER" | "HTTP_REQUEST"):
                return RefusedError(
                    f"what listens at {to} does not speak TLS: if that is meant, replace "
                    "--root-certificates by --insecure"
                )
            case ConnectionRefusedError():
                return UnreachableError(
                    f"nothing listens at {to}: is the server running, and not on 127.0.0.1 only?"
                )
            case socket.gaierror():
                return UnreachableError(f"the name {to.host} is not known here: {error.strerror}")
            case TimeoutError():
                return UnreachableError(f"no answer from {to}: does a firewall stand between?")
            case http.client.RemoteDisconnected() | ConnectionResetError():
                line = f"{to} closed the connection without an answer"
                if self._tls is None and not self._understood:
                    line += "; if it speaks TLS, replace --insecure by --root-certificates FILE"
                return UnreachableError(line)
        return UnreachableError(f"no connection to {to}: {error or type(error).__name__}")


def _proxy_for(address: Address, scheme: str) -> SplitResult | None:
    """Return the proxy that the environment names for an address (``https_proxy``, ...)."""
    proxies = urllib.request.getproxies_environment()
    if scheme not in proxies or urllib.request.proxy_bypass(address.host):
        return None
    return urlsplit(proxies[scheme])


def _tunnel(connection: socket.socket, to: Address, user: str | None, password: str | None) -> None:
    """Ask an HTTP proxy for a way through (RFC 9110, section 9.3.6)."""
    request = f"CONNECT {to} HTTP/1.1\r\nhost: {to}\r\n"
    if user is not None:
        login = f"{unquote(user)}:{unquote(password or '')}".encode()
        request += f"proxy-authorization: Basic {base64.b64encode(login).decode()}\r\n"
    connection.sendall(f"{request}\r\n".encode("latin-1"))
    response = http.client.HTTPResponse(connection, method="CONNECT")
    try:
        response.begin()
    finally:
        response.close()
    if response.status != http.client.OK:
        raise OSError(f"the proxy answered {response.status} {printable(response.reason)}")


def _date(text: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(text) if text else None
    except ValueError:
        return None
