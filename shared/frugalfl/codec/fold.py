"""A fold: from here on, frames are about the coordinates of a new random subspace.

It stands among the frames of a bundle and holds one number. The receiver adds what its coordinates
stand for to the weights, if it has any, and begins with zeros in the subspace of that number
(:mod:`frugalfl.subspace`). It leads from one version of the model to another as a frame does.
`docs/wire-format.md` has the bytes.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from frugalfl.codec.buffer import Reader, varint
from frugalfl.codec.frame import FORMAT, MAX_VERSION
from frugalfl.errors import FrameError

MAGIC = b"fS"
_LAST_NUMBER = (1 << 32) - 1


@dataclass(frozen=True)
class Fold:
    """The beginning of a subspace.

    Attributes:
        base: Version of the model that the receiver holds by then.
        version: Version of the model that results: the same weights.
        number: Of the subspace, from 0.
    """

    base: int
    version: int
    number: int


def encode_fold(fold: Fold) -> bytes:
    """Return the bytes of a fold."""
    body = b"".join(
        [
            MAGIC, bytes([FORMAT]), varint(fold.base), varint(fold.version - fold.base),
            varint(fold.number),
        ]
    )  # fmt: skip
    return body + zlib.crc32(body).to_bytes(4, "little")


def read_fold(reader: Reader, data: memoryview) -> Fold:
    """Read a fold, from its magic on.

    Args:
        reader: Over ``data``; left behind the fold.
        data: The bundle.

    Raises:
        FrameError: The bytes are no fold, end too early, or were damaged.
    """
    start = reader.position
    if not reader.passed(MAGIC):
        raise FrameError("these bytes are not a fold (wrong magic)")
    if (written := reader.byte()) != FORMAT:
        raise FrameError(
            f"the fold has format {written}, this version reads {FORMAT}; upgrade frugalfl"
        )
    base = reader.varint(MAX_VERSION)
    fold = Fold(base, base + reader.varint(MAX_VERSION), reader.varint(_LAST_NUMBER))
    checked = zlib.crc32(data[start : reader.position])
    if checked != int.from_bytes(reader.bytes(4), "little"):
        raise FrameError("the fold's checksum does not match; it was damaged on the way")
    return fold
