"""The way from the front to the SuperLink: one connection for each that comes in."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence

import h11

from frugalfl_server.serve.front.http_connection import Wire
from frugalfl_server.serve.front.limits import FrontLimits

#: Longest head of an answer, which a SuperLink of one's own makes (B).
_HEAD_BYTES = 65536
_CONNECT_S = 10.0


class SuperLinkClient:
    """A connection to the SuperLink, made when it is needed."""

    def __init__(
        self, host: str, port: int, tls: ssl.SSLContext | None, limits: FrontLimits
    ) -> None:
        """Say where it is; nothing is sent yet."""
        self._host, self._port, self._tls, self._limits = host, port, tls, limits
        self._wire: Wire | None = None

    async def begin(self, target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Send the head of a request.

        Raises:
            OSError: The SuperLink is not there.
        """
        host = (b"host", f"{self._host}:{self._port}".encode("ascii"))
        request = h11.Request(method=b"POST", target=target, headers=[host, *headers])
        await (await self._open()).send(request, self._limits.pause_s)

    async def send(self, event: h11.Data | h11.EndOfMessage) -> None:
        """Send a part of the body, or its end.

        Raises:
            OSError: The SuperLink is gone.
        """
        await self._there().send(event, self._limits.pause_s)

    async def answer(self) -> h11.Response:
        """Return the head of the answer.

        Raises:
            OSError: The SuperLink is gone.
            TimeoutError: It does not answer.
            h11.RemoteProtocolError: What it says is no HTTP.
        """
        event = await self._there().receive(self._limits.answer_s)
        while isinstance(event, h11.InformationalResponse):
            event = await self._there().receive(self._limits.answer_s)
        if not isinstance(event, h11.Response):
            raise ConnectionError("the SuperLink closed the connection")
        return event

    async def body(self) -> AsyncIterator[h11.Data]:
        """Yield the parts of the answer's body.

        Raises:
            OSError: The SuperLink is gone.
            h11.RemoteProtocolError: What it says is no HTTP.
        """
        wire = self._there()
        while isinstance(event := await wire.receive(self._limits.answer_s), h11.Data):
            yield event
        if wire.http.our_state is h11.DONE and wire.http.their_state is h11.DONE:
            wire.http.start_next_cycle()
        else:
            self.close()

    def close(self) -> None:
        """Drop the connection; the next request opens another one."""
        if self._wire is not None:
            self._wire.abort()
            self._wire = None

    def _there(self) -> Wire:
        if self._wire is None:
            raise ConnectionError("there is no connection to the SuperLink")
        return self._wire

    async def _open(self) -> Wire:
        if self._wire is not None and self._wire.ended:
            self.close()
        if self._wire is None:
            async with asyncio.timeout(_CONNECT_S):
                reader, writer = await asyncio.open_connection(
                    self._host, self._port, ssl=self._tls
                )
            self._wire = Wire(h11.CLIENT, reader, writer, _HEAD_BYTES)
        return self._wire
