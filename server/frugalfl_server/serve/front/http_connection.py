"""HTTP/1.1 on one connection: h11 does the parsing, asyncio the waiting."""

from __future__ import annotations

import asyncio

import h11

#: What is read at once (B), and so about what a connection holds in memory.
_PIECE = 65536
#: How long the other end may take to agree that the connection is over (s).
_GOODBYE_S = 1.0


class Wire:
    """One end of a connection; whoever waits for it says how long."""

    def __init__(
        self,
        role: type[h11.CLIENT] | type[h11.SERVER],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        head_bytes: int,
    ) -> None:
        """Speak as ``role``; a head of more than ``head_bytes`` is refused."""
        self.http = h11.Connection(role, max_incomplete_event_size=head_bytes)
        self._reader, self._writer = reader, writer
        self._head = b""

    @property
    def ended(self) -> bool:
        """Whether the other end will say no more."""
        return self._reader.at_eof() or self._writer.is_closing()

    async def wait(self, seconds: float) -> bool:
        """Wait until something new is said; ``False``: nothing came, or the connection ended.

        Raises:
            OSError: The connection broke.
        """
        if self.http.trailing_data[0]:
            return True
        try:
            async with asyncio.timeout(seconds):
                return await self._read()
        except TimeoutError:
            return False

    async def receive(self, seconds: float) -> h11.Event:
        """Return the next part of a message.

        Raises:
            TimeoutError: It did not come in time.
            h11.RemoteProtocolError: It is no HTTP.
            OSError: The connection broke.
        """
        async with asyncio.timeout(seconds):
            while (event := self.http.next_event()) is h11.NEED_DATA:
                await self._read()
        if event is h11.PAUSED:
            raise h11.RemoteProtocolError("more was said than may be now")
        assert isinstance(event, h11.Event)
        return event

    async def send(self, event: h11.Event, seconds: float) -> None:
        """Send a part of a message; returns once most of it is on its way.

        A head goes along with what comes after it: one packet, one TLS record.

        Raises:
            TimeoutError: The other end does not take it.
            OSError: The connection broke.
        """
        data = self._head + (self.http.send(event) or b"")
        self._head = data if isinstance(event, h11.Request | h11.Response) else b""
        if data and not self._head:
            self._writer.write(data)
            async with asyncio.timeout(seconds):
                await self._writer.drain()

    def whole(self) -> bool:
        """Say whether nothing is left of the last request: it had no body, or that is here."""
        try:
            while isinstance(event := self.http.next_event(), h11.Data):
                pass
        except h11.RemoteProtocolError:
            return False
        return isinstance(event, h11.EndOfMessage) and not self.http.trailing_data[0]

    async def discard(self, seconds: float, most: int) -> None:
        """Read what still comes and forget it, so that an answer before it is not lost.

        A socket that is closed with something unread takes back what it has sent (RFC 9112,
        section 9.6).
        """
        try:
            async with asyncio.timeout(seconds):
                while most > 0 and (data := await self._reader.read(_PIECE)):
                    most -= len(data)
        except (TimeoutError, OSError):
            pass

    async def close(self) -> None:
        """Say that no more comes, once what was sent is gone."""
        self._writer.close()
        try:
            async with asyncio.timeout(_GOODBYE_S):
                await self._writer.wait_closed()
        except (TimeoutError, OSError):
            self.abort()

    def abort(self) -> None:
        """Drop the connection."""
        self._writer.transport.abort()

    async def _read(self) -> bool:
        data = await self._reader.read(_PIECE)
        self.http.receive_data(data)
        return bool(data)
