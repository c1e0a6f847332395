"""A cut: what makes a pruned model of the whole one that the receiver holds.

It stands among the frames of a bundle, holds lists of indices and no numbers, and leads from one
version of the model to another as a frame does. `docs/wire-format.md` has the bytes.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from frugalfl.blocks import Layout
from frugalfl.codec.buffer import Reader, varint
from frugalfl.codec.frame import FORMAT, MAX_VERSION, Limits, write_outline
from frugalfl.codec.kept_channels import read_kept, write_kept
from frugalfl.errors import FrameError
from frugalfl.kept import Kept

MAGIC = b"fK"


@dataclass(frozen=True)
class Cut:
    """A cut as it came; its lists can only be read for the model that they are of.

    Attributes:
        base: Version of the model to cut.
        version: Version of the model that results.
        lists: The coded lists.
        body: All bytes before the checksum.
        checksum: As it came.
    """

    base: int
    version: int
    lists: bytes
    body: bytes
    checksum: int

    def kept(self, layout: Layout) -> Kept:
        """Return which entries stay of a model.

        Args:
            layout: The model's, as it is held.

        Raises:
            FrameError: The bytes were damaged, or this is a cut of another model.
        """
        if _checksum(self.body, layout) != self.checksum:
            raise FrameError(
                "the checksum of the pruning lists does not match; they were damaged on the way, "
                "or are for another model"
            )
        return read_kept(self.lists, layout)


def encode_cut(kept: Kept, layout: Layout, *, base: int, version: int) -> bytes:
    """Return the bytes of a cut.

    Args:
        kept: Which entries stay.
        layout: The model before it is cut.
        base: Version of the model that the receiver holds by then.
        version: Version of the model that results, above ``base``.
    """
    lists = write_kept(kept, layout)
    head = [MAGIC, bytes([FORMAT]), varint(base), varint(version - base), varint(len(lists))]
    body = b"".join([*head, lists])
    return body + _checksum(body, layout).to_bytes(4, "little")


def read_cut(reader: Reader, data: memoryview, limits: Limits) -> Cut:
    """Read a cut, from its magic on.

    Args:
        reader: Over ``data``; left behind the cut.
        data: The bundle.
        limits: What is accepted.

    Raises:
        FrameError: The bytes are no cut, or end too early.
    """
    start = reader.position
    if not reader.passed(MAGIC):
        raise FrameError("these bytes are not a cut (wrong magic)")
    if (written := reader.byte()) != FORMAT:
        raise FrameError(
            f"the cut has format {written}, this version reads {FORMAT}; upgrade frugalfl"
        )
    base = reader.varint(MAX_VERSION)
    version = base + reader.varint(MAX_VERSION)
    lists = bytes(reader.bytes(reader.varint(limits.frame_bytes)))
    body = bytes(data[start : reader.position])
    return Cut(base, version, lists, body, int.from_bytes(reader.bytes(4), "little"))


def _checksum(body: bytes, layout: Layout) -> int:
    """Return the CRC-32 of the bytes, and of the shapes that they are meant for."""
    return zlib.crc32(write_outline(layout, layout.everything), zlib.crc32(body))
