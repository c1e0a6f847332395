"""A frame: one encoded update, self-describing, checksummed, bounded.

A frame carries what a receiver needs: the codec's text, which blocks it holds, their shapes, and
from which version of the model to which it leads. `docs/wire-format.md` has the bytes.

Decoding trusts nothing: every length is checked against :class:`Limits`, and the checksum is
checked, before memory is taken for the tensors.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import NamedTuple

from frugalfl.blocks import FloatArray, Layout, Shape
from frugalfl.codec.buffer import Reader, varint
from frugalfl.codec.codec import Codec, parse_codec
from frugalfl.codec.feedback import Residual
from frugalfl.codec.links import Compact, Steering
from frugalfl.codec.names import lengthen, shorten
from frugalfl.errors import FrameError, UsageError

MAGIC = b"fF"
FORMAT = 1
_START = MAGIC + bytes([FORMAT])
#: A tensor's rank that stands for "1-D, as long as the first axis of the tensor before".
_AS_BEFORE = 0x1F
#: Set in a tensor's rank byte: the last one of its block.
_LAST = 0x80
_MAX_RANK = 8
_MAX_BLOCKS = 4096
_MAX_TENSORS = 64
MAX_VERSION = 1 << 40
_MAX_SEED = (1 << 32) - 1
_MAX_TEXT = 255
_MAX_EMPTY = 1 << 16
_MOST_LATEST = 8


@dataclass(frozen=True)
class Limits:
    """What a receiver accepts.

    Attributes:
        entries: Most tensor entries in one frame, over all blocks.
        frame_bytes: Longest frame (B).
    """

    entries: int = 1 << 28
    frame_bytes: int = 1 << 30

    @classmethod
    def of(cls, layout: Layout) -> Limits:
        """Return limits that fit one model: no frame is longer than twice its float32 size."""
        entries = sum(prod(shape) for block in layout.blocks for shape in block.shapes)
        return cls(entries=entries, frame_bytes=8 * entries + 4096)


@dataclass(frozen=True)
class Frame:
    """A decoded frame.

    Attributes:
        codec: The text of the chain that reads it.
        base: Version of the model that the values are added to; ``None``: they replace it (full).
        version: Version of the model that results; for an uplink update, the same as ``base``.
        seed: Seed of the codec's randomness, below 2**32.
        blocks: float32 tensors of each block, by block number.
        steering: What the frame says of its rounding's step, if it rounds with one.
    """

    codec: str
    base: int | None
    version: int
    seed: int
    blocks: dict[int, list[FloatArray]]
    steering: Steering | None = None

    def named(self, layout: Layout) -> dict[str, FloatArray]:
        """Return the tensors by name, once they are known to fit this layout.

        Raises:
            FrameError: A block the layout does not have, or other shapes than it has.
        """
        check_fits(
            {n: [tensor.shape for tensor in tensors] for n, tensors in self.blocks.items()}, layout
        )
        return {
            name: tensor
            for number, tensors in self.blocks.items()
            for name, tensor in zip(layout.blocks[number].tensors, tensors, strict=True)
        }


class CodedFrame(NamedTuple):
    """A frame whose header was read and whose checksum is right; its payload is as it came.

    Attributes:
        codec: The chain that wrote it.
        base: See :class:`Frame`.
        version: See :class:`Frame`.
        seed: See :class:`Frame`.
        shapes: Shapes of the tensors of each block, by block number in rising order.
        flat: Shapes of all tensors, in order.
        outline: The bytes that said which codec, blocks and shapes.
        payload: What the codec decodes.
    """

    codec: Codec
    base: int | None
    version: int
    seed: int
    shapes: dict[int, list[Shape]]
    flat: tuple[Shape, ...]
    outline: bytes
    payload: memoryview

    def decode(self) -> Frame:
        """Decode the payload.

        Raises:
            FrameError: It is not what the codec could have written.
        """
        tensors = iter(self.codec.decode(self.payload, self.flat, self.seed))
        blocks = {number: [next(tensors) for _ in block] for number, block in self.shapes.items()}
        steering = self.codec.steering(self.payload)
        return Frame(self.codec.text, self.base, self.version, self.seed, blocks, steering)

    def decode_for(self, layout: Layout) -> dict[str, FloatArray]:
        """Return the tensors by name; what does not fit a layout is not decoded at all.

        Raises:
            FrameError: A block the layout does not have, or other shapes than it has; or as
                :meth:`decode`.
        """
        check_fits(self.shapes, layout)
        return self.decode().named(layout)

    def decode_compact(self) -> Compact:
        """Decode the payload only as far as adding it needs; see :meth:`Codec.decode_compact`.

        Raises:
            FrameError: It is not what the codec could have written.
        """
        return self.codec.decode_compact(self.payload, self.flat, self.seed)


#: The last frame of each limits, without its payload.
_latest: dict[Limits, CodedFrame] = {}


def check_fits(shapes: Mapping[int, Sequence[Shape]], layout: Layout) -> None:
    """Refuse blocks that a layout does not have.

    Raises:
        FrameError: A block the layout does not have, or other shapes than it has.
    """
    for number, found in shapes.items():
        if number >= len(layout):
            raise FrameError(f"the frame holds block {number}, the model has only {len(layout)}")
        block = layout.blocks[number]
        if tuple(found) != block.shapes:
            got = ", ".join(map(str, found))
            raise FrameError(
                f"block {block.name!r} has other shapes in the frame ({got}) than here"
            )


def encode_frame(
    codec: Codec,
    layout: Layout,
    update: Mapping[str, FloatArray],
    *,
    base: int | None,
    version: int,
    residual: Mapping[str, FloatArray] | None = None,
    seed: int = 0,
    missed: int = 0,
) -> tuple[bytes, Residual]:
    """Encode the tensors of whole blocks.

    Args:
        codec: The chain to use.
        layout: The model's blocks; ``update`` must hold whole blocks of it.
        update: float32 tensors by name.
        base: See :class:`Frame`.
        version: See :class:`Frame`.
        residual: State of the codec's error feedback from the last call.
        seed: Seed of the codec's randomness, below 2**32. Clients whose updates are averaged
            need different ones, or their rounding errors add up.
        missed: Versions of the model that the sender let pass since the last call, for the
            codec's error feedback.

    Returns:
        The frame, and the codec's new residual.

    Raises:
        CodecError: The codec refuses the tensors.
        UsageError: ``update`` does not hold whole blocks.
    """
    chosen = [n for n, block in enumerate(layout.blocks) if block.tensors[0] in update]
    names = layout.names(chosen)
    if not names or set(names) != set(update):
        raise UsageError("an update travels in whole blocks; some tensors of a block are missing")
    whole = {name: update[name] for name in names}
    codec = codec.for_tensors(names)
    payload, residual = codec.encode(whole, residual, seed, missed)
    text = shorten(codec.wire_text)
    body = b"".join(
        [
            MAGIC,
            bytes([FORMAT]),
            varint(0 if base is None else base + 1),
            varint(version - (base or 0)),
            varint(seed),
            varint(len(text)),
            text,
            write_outline(layout, chosen),
            varint(len(payload)),
            payload,
        ]
    )
    return body + zlib.crc32(body).to_bytes(4, "little"), residual


def decode_frame(data: bytes | memoryview, limits: Limits) -> Frame:
    """Decode one frame that fills ``data``.

    Raises:
        FrameError: Anything about the bytes is not as it should be.
    """
    like = _latest.get(limits)
    frame = read_frame(data, limits, like)
    if like is None or frame.outline is not like.outline:
        _remember(frame, limits)
    return frame.decode()


def _remember(frame: CodedFrame, limits: Limits) -> None:
    """Keep how a frame was outlined, for the next of the same limits, which mostly has the same."""
    if len(_latest) >= _MOST_LATEST:
        _latest.clear()
    _latest[limits] = frame._replace(payload=memoryview(b""))


def read_frame(
    data: bytes | memoryview, limits: Limits, like: CodedFrame | None = None
) -> CodedFrame:
    """Read one frame that fills ``data``, all but its payload.

    Args:
        data: The frame.
        limits: What is accepted.
        like: A frame that was read before with the same limits: most frames of a round hold the
            same blocks by the same codec, and one that does shares its ``shapes``.

    Raises:
        FrameError: Anything about the header is not as it should be, or the checksum.
    """
    reader = Reader(data)
    frame = read_next(reader, memoryview(data), limits, like)
    if reader.position < len(data):
        raise FrameError("one frame was expected, more bytes came")
    return frame


def read_next(
    reader: Reader, data: memoryview, limits: Limits, like: CodedFrame | None = None
) -> CodedFrame:
    """Read the frame that comes next, all but its payload.

    Args:
        reader: Over ``data``; left behind the frame.
        data: What holds the frame.
        limits: What is accepted.
        like: As for :func:`read_frame`.

    Raises:
        FrameError: As for :func:`read_frame`.
    """
    start = reader.position
    if not reader.passed(_START):
        raise _not_ours(reader)
    base = reader.varint(MAX_VERSION) - 1
    version = reader.varint(MAX_VERSION) + max(base, 0)
    seed = reader.varint(_MAX_SEED)
    before = reader.position
    if like is not None and reader.passed(like.outline):
        codec, shapes, flat, outline = like.codec, like.shapes, like.flat, like.outline
        text = b""
    else:
        codec = None
        text = bytes(reader.bytes(reader.varint(_MAX_TEXT)))
        shapes = _read_blocks(reader, limits)
        flat = tuple(shape for block in shapes.values() for shape in block)
        outline = bytes(data[before : reader.position])
    payload = reader.bytes(reader.varint(limits.frame_bytes))
    checked = data[start : reader.position]
    if zlib.crc32(checked) != int.from_bytes(reader.bytes(4), "little"):
        raise FrameError("the frame's checksum does not match; it was damaged on the way")
    codec = codec or _codec_of(text)
    base_or_full = None if base < 0 else base
    return CodedFrame(codec, base_or_full, version, seed, shapes, flat, outline, payload)


def _not_ours(reader: Reader) -> FrameError:
    """Say what the bytes are that do not begin as a frame does."""
    if not reader.passed(MAGIC):
        return FrameError("these bytes are not a FrugalFL frame (wrong magic)")
    return FrameError(
        f"the frame has format {reader.byte()}, this version reads {FORMAT}; upgrade frugalfl"
    )


@lru_cache(maxsize=32)
def _codec_of(text: bytes) -> Codec:
    try:
        return parse_codec(lengthen(text), reading=True)
    except UsageError as error:
        raise FrameError(f"the frame names a codec that is not known here: {error}") from error


def write_outline(layout: Layout, chosen: Sequence[int]) -> bytes:
    """Write which blocks these are, one bit each, then the shapes of all their tensors."""
    return _outline(tuple(chosen), tuple(layout.blocks[number].shapes for number in chosen))


@lru_cache(maxsize=32)
def _outline(chosen: tuple[int, ...], blocks: tuple[tuple[Shape, ...], ...]) -> bytes:
    parts = [varint(sum(1 << number for number in chosen))]
    for shapes in blocks:
        before: Shape = ()
        for index, shape in enumerate(shapes):
            last = _LAST if index == len(shapes) - 1 else 0
            if len(shape) == 1 and before and shape[0] == before[0]:
                parts.append(bytes([last | _AS_BEFORE]))
            else:
                parts += [bytes([last | len(shape)]), *map(varint, shape)]
            before = shape
    return b"".join(parts)


def _read_blocks(reader: Reader, limits: Limits) -> dict[int, list[Shape]]:
    bits = reader.varint((1 << _MAX_BLOCKS) - 1)
    blocks: dict[int, list[Shape]] = {}
    left = limits.entries
    for number in [n for n in range(bits.bit_length()) if bits >> n & 1]:
        shapes: list[Shape] = []
        last = 0
        while not last:
            if len(shapes) == _MAX_TENSORS:
                raise FrameError(f"the frame has a block of more than {_MAX_TENSORS} tensors")
            rank = reader.byte()
            last = rank & _LAST
            shapes.append(_read_shape(reader, rank & ~_LAST, shapes, limits.entries))
            left -= prod(shapes[-1])
            if left < 0:
                raise FrameError(f"the frame declares more than {limits.entries} entries")
        blocks[number] = shapes
    if not blocks:
        raise FrameError("the frame holds no block")
    return blocks


def _read_shape(reader: Reader, rank: int, before: list[Shape], most: int) -> Shape:
    if rank == _AS_BEFORE and before and before[-1]:
        return before[-1][:1]
    if rank > _MAX_RANK:
        raise FrameError(f"the frame declares a tensor of rank {rank}, above {_MAX_RANK}")
    # An empty tensor may have long axes beside its empty one, but not beyond what numpy can hold.
    most = max(most, _MAX_EMPTY)
    shape = tuple(reader.varint(most) for _ in range(rank))
    if prod(max(size, 1) for size in shape) > most:
        raise FrameError(f"the frame declares a tensor of shape {shape}, above the bound of {most}")
    return shape
