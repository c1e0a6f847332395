"""SIGTERM, by which systemd and containers end a program, ends a run as Ctrl-C does."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ending_like_ctrl_c() -> Iterator[None]:
    """Let the first SIGTERM interrupt the ``with`` block; later ones do not disturb its end.

    Raises:
        KeyboardInterrupt: The signal came.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, lambda *_: None)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
