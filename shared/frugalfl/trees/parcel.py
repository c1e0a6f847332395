"""What a server sends to clients that grow trees: bins, trees that a client lacks, a question.

bins      LEB128 length, then :meth:`Bins.to_bytes`; empty where the client has them
segments  LEB128 number, then each with its length: tree frames, one a step of the model
question  the rest: what histograms are wanted; empty but for ``histogram``
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from frugalfl.codec.buffer import Reader, varint

#: Most segments, and bytes of each part, that are read.
_MOST_SEGMENTS, _MOST_BYTES = 100_000, 1 << 26


@dataclass(frozen=True)
class Parcel:
    """What one client is sent.

    Attributes:
        bins: The agreed bins; empty: the client has them.
        segments: Tree frames, in the order in which they were added to the model.
        question: What histograms are wanted; empty: none.
    """

    bins: bytes = b""
    segments: Sequence[bytes] = ()
    question: bytes = b""

    def pack(self) -> bytes:
        """Return it as bytes."""
        parts = [varint(len(self.bins)), self.bins, varint(len(self.segments))]
        for segment in self.segments:
            parts += [varint(len(segment)), segment]
        return b"".join([*parts, self.question])

    @classmethod
    def unpack(cls, data: bytes) -> Parcel:
        """Read it.

        Raises:
            FrameError: The bytes end too early, or a length is beyond its bound.
        """
        reader = Reader(data)
        bins = bytes(reader.bytes(reader.varint(_MOST_BYTES)))
        count = reader.varint(_MOST_SEGMENTS)
        segments = [bytes(reader.bytes(reader.varint(_MOST_BYTES))) for _ in range(count)]
        return cls(bins, segments, bytes(reader.rest()))
