"""A bundle: what one client is sent in a round, frames and perhaps a cut, one after the other."""

from __future__ import annotations

from frugalfl.codec import cut
from frugalfl.codec.buffer import Reader
from frugalfl.codec.cut import Cut, read_cut
from frugalfl.codec.frame import Frame, Limits, read_next
from frugalfl.errors import FrameError


def decode_bundle(data: bytes | memoryview, limits: Limits, most: int = 1) -> list[Frame | Cut]:
    """Decode parts that follow one another without anything between them.

    Raises:
        FrameError: Anything about the bytes is not as it should be, or more than ``most`` parts.
    """
    view = memoryview(data)
    reader = Reader(view)
    parts: list[Frame | Cut] = []
    while not reader.finished:
        if len(parts) == most:
            raise FrameError(f"the message holds more than {most} frames")
        if view[reader.position : reader.position + len(cut.MAGIC)] == cut.MAGIC:
            parts.append(read_cut(reader, view, limits))
        else:
            parts.append(read_next(reader, view, limits).decode())
    return parts
