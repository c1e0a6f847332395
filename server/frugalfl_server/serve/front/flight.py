"""Bodies on their way to the SuperLink, which keeps each of them in memory until it is whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Flight:
    """So many bytes may be on their way at a time; who comes later waits, and sends no more."""

    def __init__(self, most: int) -> None:
        """Begin with none; ``most`` is in bytes."""
        self._left = most
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def hold(self, size: int, seconds: float) -> AsyncIterator[None]:
        """Keep room for a body of ``size`` bytes, for as long as the block lasts.

        Raises:
            TimeoutError: There was none for so many seconds.
        """
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: self._left >= size)
            self._left -= size
        try:
            yield
        finally:
            self._left += size
            await self._wake()

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()
