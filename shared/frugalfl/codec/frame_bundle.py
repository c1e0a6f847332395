"""A bundle: what one client is sent in a round, frames, cuts and folds, one after the other."""

from __future__ import annotations

from frugalfl.codec import cut, fold
from frugalfl.codec.buffer import Reader
from frugalfl.codec.cut import Cut, read_cut
from frugalfl.codec.fold import Fold, read_fold
from frugalfl.codec.frame import CodedFrame, Limits, read_next
from frugalfl.errors import FrameError

#: Most parts of a bundle. A client that would need more is sent a full model.
MOST_PARTS = 1024
#: Most models' entries that all frames of a bundle hold together, but for those of a subspace, of
#: which there are few. Each entry takes time to decode, however few bytes the frame has; what
#: a client missed is a sum, one frame, unless its numbers are too large to be summed up exactly.
MOST_MODELS = 16
#: What a bundle is made of; payloads of frames are as they came.
Part = CodedFrame | Cut | Fold


def read_bundle(data: bytes | memoryview, limits: Limits, most: int = MOST_PARTS) -> list[Part]:
    """Read parts that follow one another without anything between them.

    Frames are left undecoded: whether one fits what is held by then costs its receiver nothing to
    see, and decoding it may cost seconds.

    Raises:
        FrameError: Anything about the bytes is not as it should be, or more than ``most`` parts.
    """
    view = memoryview(data)
    reader = Reader(view)
    parts: list[Part] = []
    while not reader.finished:
        if len(parts) == most:
            raise FrameError(f"the message holds more than {most} frames")
        magic = view[reader.position : reader.position + len(cut.MAGIC)]
        if magic == cut.MAGIC:
            parts.append(read_cut(reader, view, limits))
        elif magic == fold.MAGIC:
            parts.append(read_fold(reader, view))
        else:
            parts.append(read_next(reader, view, limits))
    return parts
