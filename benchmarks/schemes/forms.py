"""Forms of an update on the wire, as other frameworks and papers have them, written from sources.

Each is really encoded to bytes and decoded from nothing but these bytes and the model's shapes,
which both ends know. No headers are counted, in the peers' favour.
"""

from __future__ import annotations

import gzip
from abc import ABC, abstractmethod
from collections.abc import Mapping
from math import ceil, prod
from typing import Any, Protocol

import numpy as np

from frugalfl.blocks import FloatArray, Layout, Parameters, Shape
from frugalfl.codec import Limits, decode_frame, encode_frame, parse_codec
from frugalfl.codec.buffer import Reader
from frugalfl.errors import FrameError

Shapes = Mapping[str, Shape]


class Form(Protocol):
    """A way to write tensors down, and to read them again."""

    def encode(self, tensors: Parameters, seed: int) -> bytes:
        """Return the bytes of the tensors; ``seed`` feeds the randomness of forms that have any."""

    def decode(self, data: bytes, shapes: Shapes) -> Parameters:
        """Return float32 tensors of these shapes."""


class _ByTensor(ABC):
    """One tensor after the other."""

    def encode(self, tensors: Parameters, seed: int) -> bytes:
        """Return the bytes of all tensors."""
        return b"".join(self._pack(tensor.ravel()) for tensor in tensors.values())

    def decode(self, data: bytes, shapes: Shapes) -> Parameters:
        """Return the tensors."""
        reader = Reader(data)
        found = {
            name: self._unpack(reader, prod(shape)).astype(np.float32).reshape(shape)
            for name, shape in shapes.items()
        }
        if len(reader.rest()):
            raise FrameError("the tensors end before the bytes do")
        return found

    @abstractmethod
    def _pack(self, flat: FloatArray) -> bytes:
        """Return the bytes of one tensor's entries."""

    @abstractmethod
    def _unpack(self, reader: Reader, size: int) -> Any:
        """Read so many entries."""


class Floats(_ByTensor):
    """Plain floats: ``<f4``, or ``<f2`` as NVFlare's and FLSim's half precision have it."""

    def __init__(self, dtype: str) -> None:
        self._dtype = np.dtype(dtype)

    def _pack(self, flat: FloatArray) -> bytes:
        limit = np.finfo(self._dtype).max
        return np.clip(flat, -limit, limit).astype(self._dtype).tobytes()

    def _unpack(self, reader: Reader, size: int) -> Any:
        return np.frombuffer(reader.bytes(self._dtype.itemsize * size), self._dtype)


class Int8(_ByTensor):
    """8 bits an entry and a float32 scale a block: its largest magnitude over 127.

    With blocks of 4,096 this is NVFlare's blockwise8, but for two things: its code has levels that
    lie closer near zero, and it sends their table (1,024 B) with every tensor, which is not
    counted here. Without a block size, the whole tensor is one block.
    """

    def __init__(self, block: int | None = None) -> None:
        self._block = block

    def _pack(self, flat: FloatArray) -> bytes:
        parts = []
        for start, stop in self._blocks(flat.size):
            part = flat[start:stop]
            scale = np.float32(np.abs(part).max(initial=0) / 127 or 1.0)
            parts += [scale.tobytes(), np.rint(part / scale).astype(np.int8).tobytes()]
        return b"".join(parts)

    def _unpack(self, reader: Reader, size: int) -> Any:
        parts = []
        for start, stop in self._blocks(size):
            scale = np.frombuffer(reader.bytes(4), "<f4")
            parts.append(np.frombuffer(reader.bytes(stop - start), np.int8) * scale)
        return np.concatenate(parts)

    def _blocks(self, size: int) -> list[tuple[int, int]]:
        step = self._block or size
        return [(start, min(start + step, size)) for start in range(0, size, step)]


class TopK(_ByTensor):
    """The largest entries of each tensor, as places and float32 values.

    ``<i4`` places are the usual form; FedLab's are ``<i8``.
    """

    def __init__(self, share: float, places: str = "<i4") -> None:
        self._share = share
        self._places = np.dtype(places)

    def _pack(self, flat: FloatArray) -> bytes:
        keep = np.argsort(np.abs(flat))[-self._count(flat.size) :]
        return keep.astype(self._places).tobytes() + flat[keep].astype("<f4").tobytes()

    def _unpack(self, reader: Reader, size: int) -> Any:
        count = self._count(size)
        places = np.frombuffer(reader.bytes(self._places.itemsize * count), self._places)
        sparse = np.zeros(size, np.float32)
        sparse[places] = np.frombuffer(reader.bytes(4 * count), "<f4")
        return sparse

    def _count(self, size: int) -> int:
        return max(1, int(self._share * size))


class OpenFlStc(_ByTensor):
    """OpenFL's STC pipeline as it is: top-k, ternary codes 0, 1 and 2 as float32, gzip.

    Its scale is the mean magnitude over *all* entries, zeros too, so that an update shrinks to
    about its kept share; and where fewer entries than it keeps are nonzero, zeros are sent as
    positive. Length and scale are 8 B a tensor.
    """

    def __init__(self, share: float = 0.1) -> None:
        self._share = share

    def _pack(self, flat: FloatArray) -> bytes:
        keep = np.argsort(np.abs(flat))[-ceil(self._share * flat.size) :]
        sparse = np.zeros(flat.size)
        sparse[keep] = flat[keep] + (1e-7 if flat[keep].min() < 1e-7 else 0)
        scale = np.float32(np.abs(sparse).mean())
        packed = gzip.compress((np.sign(sparse) + 1).astype("<f4").tobytes())
        return len(packed).to_bytes(4, "little") + scale.tobytes() + packed

    def _unpack(self, reader: Reader, size: int) -> Any:
        length = int.from_bytes(reader.bytes(4), "little")
        scale = np.frombuffer(reader.bytes(4), "<f4")
        codes = np.frombuffer(gzip.decompress(reader.bytes(length)), "<f4")
        return (codes - 1) * scale


class Chain:
    """A codec of this project: a whole frame, its header counted."""

    def __init__(self, text: str) -> None:
        self._codec = parse_codec(text)

    def encode(self, tensors: Parameters, seed: int) -> bytes:
        """Return one frame."""
        frame, _ = encode_frame(
            self._codec, Layout.of(tensors), tensors, base=1, version=1, seed=seed
        )
        return frame

    def decode(self, data: bytes, shapes: Shapes) -> Parameters:
        """Return the frame's tensors."""
        layout = Layout.of({name: np.zeros(shape, np.float32) for name, shape in shapes.items()})
        return decode_frame(data, Limits.of(layout)).named(layout)
