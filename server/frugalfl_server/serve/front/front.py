"""The listening socket, and all that goes on behind it."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable
from functools import partial

import h11

from frugalfl_server.serve.front.attendant import Attendant
from frugalfl_server.serve.front.credentials import Credentials
from frugalfl_server.serve.front.crowd import Crowd, Guest
from frugalfl_server.serve.front.flight import Flight
from frugalfl_server.serve.front.http_connection import Wire
from frugalfl_server.serve.front.limits import FrontLimits
from frugalfl_server.serve.front.refused import Refusals, RequestRefusedError
from frugalfl_server.serve.front.superlink import SuperLinkClient

#: Connections that the system keeps until they are taken.
BACKLOG = 1024
#: What an asyncio stream keeps unread, half of what it may hold (B).
_UNREAD = 65536
#: Wait if the system has no more file descriptors (s).
_NO_MORE_S = 0.1


class Front:
    """Takes connections, and lets those go on that may."""

    def __init__(
        self,
        limits: FrontLimits,
        credentials: Credentials,
        tls: ssl.SSLContext | None,
        link: Callable[[], SuperLinkClient],
        say: Callable[[str], None],
    ) -> None:
        """Put the parts together.

        Args:
            limits: What may be asked.
            credentials: Who may ask.
            tls: Certificate to show; ``None``: no TLS.
            link: Makes a way to the SuperLink.
            say: Takes a line for the operator.
        """
        self._limits, self._credentials, self._tls, self._link = limits, credentials, tls, link
        self.refused = Refusals(say)
        self._crowd = Crowd(limits, self.refused.add)
        self._flight = Flight(limits.flight_bytes)
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, listener: socket.socket) -> None:
        """Take connections for as long as it is not cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, (host, *_) = await loop.sock_accept(listener)
            except OSError:  # it was gone before it was taken, or there are too many open files
                await asyncio.sleep(_NO_MORE_S)
                continue
            self._take(connection, _group(host))

    def admit(self, keys: frozenset[bytes]) -> None:
        """Let nodes with these keys in, and end the connections of others."""
        self._credentials.admitted = keys
        for guest in list(self._crowd.not_of(keys)):
            guest.leave()

    def _take(self, connection: socket.socket, address: str) -> None:
        task = asyncio.create_task(self._attend(connection, guest := Guest(address)))
        guest.leave = task.cancel
        try:
            self._crowd.enter(guest)
        except RequestRefusedError as error:
            self.refused.add(address, error)
            task.cancel()
            connection.close()
            return
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attend(self, connection: socket.socket, guest: Guest) -> None:
        """Serve one connection; whatever goes wrong, it is this one's matter only."""
        try:
            wire = await self._shake_hands(connection)
            try:
                await self._attendant(wire, guest).attend()
                await wire.close()
            except RequestRefusedError:
                await wire.close()
                raise
            except BaseException:
                wire.abort()
                raise
        except RequestRefusedError as error:
            self.refused.add(guest.address, error)
        except (OSError, h11.ProtocolError):
            pass  # a line that broke
        finally:
            self._crowd.leave(guest)

    def _attendant(self, wire: Wire, guest: Guest) -> Attendant:
        def idle(now: bool) -> None:
            guest.idle = now

        named = partial(self._crowd.name, guest)
        parts = (self._link(), self._limits, self._credentials, self._flight)
        return Attendant(wire, *parts, named=named, idle=idle)

    async def _shake_hands(self, connection: socket.socket) -> Wire:
        """Agree about TLS, and return the connection.

        Raises:
            RefusedError: The other end does not, or not in time.
        """
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(_UNREAD, loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        seconds = self._limits.handshake_s if self._tls else None
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol, connection, ssl=self._tls, ssl_handshake_timeout=seconds
            )
        except OSError as error:
            raise RequestRefusedError("connection", "it came to no TLS on it") from error
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        return Wire(h11.SERVER, reader, writer, self._limits.head_bytes)


def _group(host: str) -> str:
    """Return what counts as one address: for IPv6 the network, since a household has one."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return host
