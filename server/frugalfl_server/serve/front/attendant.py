"""One connection from its first byte to its end: read a head, check it, hand the request on."""

from __future__ import annotations

import asyncio
import email.utils
from collections.abc import Callable

import h11

from frugalfl_server.serve.front.credentials import Credentials
from frugalfl_server.serve.front.flight import Flight
from frugalfl_server.serve.front.http_connection import Wire
from frugalfl_server.serve.front.limits import FrontLimits
from frugalfl_server.serve.front.refused import RequestRefusedError
from frugalfl_server.serve.front.request_rules import Admitted, check
from frugalfl_server.serve.front.superlink import SuperLinkClient

#: Headers of an answer that a node reads.
_ANSWER = frozenset({b"content-type", b"content-length", b"date"})
#: How long (s), and how much (B), is still read and forgotten of a request that was refused.
_DISCARD_S, _DISCARD_BYTES = 1.0, 1 << 18


class Attendant:
    """Serves one connection."""

    def __init__(
        self,
        wire: Wire,
        link: SuperLinkClient,
        limits: FrontLimits,
        credentials: Credentials,
        flight: Flight,
        *,
        named: Callable[[bytes], None],
        idle: Callable[[bool], None],
    ) -> None:
        """Put the parts together.

        Args:
            wire: The connection.
            link: The way to the SuperLink; closed in the end.
            limits: What may be asked.
            credentials: Who may ask.
            flight: Room for bodies.
            named: Told the key of each request that is handed on.
            idle: Told whether the connection is between two requests.
        """
        self._wire, self._link, self._limits = wire, link, limits
        self._credentials, self._flight = credentials, flight
        self._named, self._idle = named, idle
        self._known = False
        self._answered = False

    async def attend(self) -> None:
        """Serve until the other end has enough.

        Raises:
            RefusedError: A request went no further; the other end was told so.
            OSError: The connection broke.
        """
        try:
            while await self._serve_one():
                self._wire.http.start_next_cycle()
        except RequestRefusedError as error:
            await self._refuse(error)
            raise
        finally:
            self._link.close()

    async def _serve_one(self) -> bool:
        """Serve one request; ``False``: there was none, or it was the last one."""
        self._answered = False
        self._idle(True)
        request = await self._head()
        self._idle(False)
        if request is None:
            return False
        admitted = check(request, self._limits, self._credentials)
        self._known = True
        self._named(admitted.key)
        await self._hand_on(admitted)
        http = self._wire.http
        return http.our_state is h11.DONE and http.their_state is h11.DONE

    async def _head(self) -> h11.Request | None:
        """Return the head of the next request; ``None``: the other end has no more to say."""
        limits = self._limits
        if not await self._wire.wait(limits.idle_s if self._known else limits.head_s):
            if self._known or self._wire.ended:
                return None
            raise RequestRefusedError(
                "connection", f"nothing was said on it for {limits.head_s:.0f} s"
            )
        try:
            event = await self._wire.receive(limits.head_s)
        except TimeoutError as error:
            why = f"its head was not complete within {limits.head_s:.0f} s"
            raise RequestRefusedError("request", why, 408) from error
        except h11.RemoteProtocolError as error:
            if self._wire.ended:
                return None
            long = error.error_status_hint == 431
            why = "its head is too long" if long else "it is not valid HTTP/1.1"
            raise RequestRefusedError("request", why, error.error_status_hint) from error
        return event if isinstance(event, h11.Request) else None

    async def _hand_on(self, request: Admitted) -> None:
        """Send a request to the SuperLink, and its answer back."""
        try:
            async with self._flight.hold(request.length, self._limits.answer_s):
                await self._link.begin(request.target, request.headers)
                await self._send_body(request.length)
                answer = await self._link.answer()
            await self._send_back(answer)
        except (OSError, h11.RemoteProtocolError, h11.LocalProtocolError) as error:
            self._link.close()
            if self._answered or self._wire.ended:
                raise ConnectionError("the connection broke in the middle of an answer") from error
            raise RequestRefusedError(
                "request", "the SuperLink does not answer just now", 503
            ) from error
        except BaseException:
            self._link.close()
            raise

    async def _send_body(self, length: int) -> None:
        try:
            async with asyncio.timeout(self._limits.body_s(length)):
                await self._copy_body()
        except TimeoutError as error:
            raise RequestRefusedError("request", "its body comes too slowly", 408) from error
        except h11.RemoteProtocolError as error:
            raise RequestRefusedError("request", "its body broke off") from error

    async def _copy_body(self) -> None:
        while True:
            event = await self._wire.receive(self._limits.pause_s)
            if isinstance(event, h11.Data):
                await self._link.send(h11.Data(data=bytes(event.data)))
            elif isinstance(event, h11.EndOfMessage):
                await self._link.send(h11.EndOfMessage())
                return
            else:
                raise ConnectionError("the connection ended in a body")

    async def _send_back(self, answer: h11.Response) -> None:
        headers = [(name, value) for name, value in answer.headers if name in _ANSWER]
        self._answered = True
        head = h11.Response(status_code=answer.status_code, headers=headers)
        await self._wire.send(head, self._limits.pause_s)
        async for data in self._link.body():
            await self._wire.send(h11.Data(data=bytes(data.data)), self._limits.pause_s)
        await self._wire.send(h11.EndOfMessage(), self._limits.pause_s)

    async def _refuse(self, error: RequestRefusedError) -> None:
        """Answer a request that goes no further, and end the connection."""
        if not error.status or self._wire.http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self._wire.abort()
            return
        whole = self._wire.whole()
        headers = [
            ("date", email.utils.formatdate(usegmt=True)),
            ("content-length", str(len(error.body))),
            ("content-type", "application/json"),
            ("connection", "close"),
        ]
        try:
            head = h11.Response(status_code=error.status, headers=headers)
            await self._wire.send(head, self._limits.pause_s)
            await self._wire.send(h11.Data(data=error.body), self._limits.pause_s)
            await self._wire.send(h11.EndOfMessage(), self._limits.pause_s)
            if not whole:
                await self._wire.discard(_DISCARD_S, _DISCARD_BYTES)
        except (OSError, h11.LocalProtocolError):
            self._wire.abort()
