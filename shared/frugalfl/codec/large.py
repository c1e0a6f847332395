"""``large(size, chain, chain)``: one chain for large tensors, another for the small ones.

Tensors of at least ``size`` entries go through the first chain, the others through the second:
``large(1024, stochastic(24 sigma) | range, float16 | zstd)`` leaves biases and norms exact. Both
ends know the shapes, so nothing says on the wire which went where. Three classes and more nest:
``large(10000, a, large(100, b, c))``.

Layout: length of the first chain's payload (varint), that payload, the second's. A chain without
tensors has no payload.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from frugalfl.blocks import Shape
from frugalfl.calls import Call, arity, whole
from frugalfl.codec.buffer import Reader, varint
from frugalfl.codec.chain import Chain
from frugalfl.codec.links import Coder, Draws, Tensor
from frugalfl.errors import FrameError

#: Keeps the randomness of the small tensors apart from that of the large ones.
_STREAM = 0x4C415247
_MOST_BYTES = 1 << 40


class Large(Coder):
    """Splits the tensors by size; each chain sees its own as if there were no others."""

    def __init__(self, size: int, large: Chain, small: Chain) -> None:
        self._size = size
        self._large = large
        self._small = small
        self.families = large.families | small.families

    def encode(self, tensors: list[Tensor], draws: Draws) -> bytes:
        """Return both payloads."""
        large = [tensor for tensor in tensors if self._is_large(tensor.shape)]
        small = [tensor for tensor in tensors if not self._is_large(tensor.shape)]
        first = self._large.pack(large, draws.seed) if large else b""
        second = self._small.pack(small, draws.seed ^ _STREAM) if small else b""
        return varint(len(first)) + first + second

    def decode(self, data: memoryview, shapes: Sequence[Shape], draws: Draws) -> list[Tensor]:
        """Return the tensors in their order."""
        reader = Reader(data)
        first = reader.bytes(reader.varint(_MOST_BYTES))
        large = unpack_part(self._large, first, list(filter(self._is_large, shapes)), draws.seed)
        rest = [shape for shape in shapes if not self._is_large(shape)]
        small = unpack_part(self._small, reader.rest(), rest, draws.seed ^ _STREAM)
        queues = {True: iter(large), False: iter(small)}
        return [next(queues[self._is_large(shape)]) for shape in shapes]

    def _is_large(self, shape: Shape) -> bool:
        return prod(shape) >= self._size


def unpack_part(chain: Chain, data: memoryview, shapes: list[Shape], seed: int) -> list[Tensor]:
    """Return a chain's tensors, of which there may be none.

    Raises:
        FrameError: The payload does not fit the chain and the shapes.
    """
    if shapes:
        return chain.unpack(data, shapes, seed)
    if len(data):
        raise FrameError("the frame has bytes for a chain that has no tensors")
    return []


def build(call: Call, chain: Callable[[Call], Chain]) -> Large:
    """Read ``large(1024, stochastic(24 sigma) | range, float16 | zstd)``."""
    arity(call, 3)
    size, large, small = call.arguments
    return Large(whole(size, "large"), chain(large), chain(small))
