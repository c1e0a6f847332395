"""Who wants to know of each round of a run as it ends: a search that may stop it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from frugalfl_server.run.records import RoundRecord

Watcher = Callable[[RoundRecord], None]
_WATCHER: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Call a function with each round of the runs in the ``with`` block; what it raises ends one.

    Args:
        watcher: Called in the thread that runs the rounds.
    """
    token = _WATCHER.set(watcher)
    try:
        yield
    finally:
        _WATCHER.reset(token)


def tell_watcher(record: RoundRecord) -> None:
    """Tell who watches, if anybody does, of one finished round."""
    watcher = _WATCHER.get()
    if watcher is not None:
        watcher(record)
