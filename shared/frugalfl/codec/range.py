"""``range``: our own entropy coder, with row and column context (`codec/entropy`)."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from frugalfl.blocks import Shape
from frugalfl.calls import Call, arity
from frugalfl.codec.entropy import decode_nonzeros, decode_tensors, encode_tensors, ideal_bits
from frugalfl.codec.links import Coder, Draws, Sparse, Tensor
from frugalfl.errors import CodecError, UsageError


class Range(Coder):
    """Codes int32 symbols, mostly zeros; a tensor is a matrix of its first axis and the others."""

    def __init__(self, by_rows: bool = False) -> None:
        """Begin; ``by_rows``: code nonzeros row by row where no thresholds are shared."""
        self._by_rows = by_rows

    def encode(self, tensors: list[Tensor], draws: Draws) -> bytes:
        """Return the entropy coder's bytes; none for an update of zeros.

        Raises:
            CodecError: The tensors are not symbols.
        """
        thresholds = draws.thresholds(_shapes(tensors))
        return encode_tensors(_symbols(tensors), thresholds, self._by_rows)

    def ideal_bytes(self, tensors: list[Tensor], draws: Draws) -> float:
        """Return what :meth:`encode` would return under perfect coding with the same model (B).

        Raises:
            CodecError: The tensors are not symbols.
        """
        thresholds = draws.thresholds(_shapes(tensors))
        return ideal_bits(_symbols(tensors), thresholds, self._by_rows) / 8

    def decode(self, data: memoryview, shapes: Sequence[Shape], draws: Draws) -> list[Tensor]:
        """Return int32 symbols."""
        symbols = decode_tensors(data, list(map(_matrix, shapes)), draws.thresholds(shapes))
        return [tensor.reshape(shape) for tensor, shape in zip(symbols, shapes, strict=True)]

    def decode_sparse(self, data: memoryview, shapes: Sequence[Shape], draws: Draws) -> Sparse:
        """Return the nonzero symbols, as int32."""
        return Sparse(*decode_nonzeros(data, list(map(_matrix, shapes)), draws.thresholds(shapes)))


def _symbols(tensors: list[Tensor]) -> list[Tensor]:
    if any(tensor.dtype.kind not in "iu" for tensor in tensors):
        raise CodecError("range codes symbols; put stochastic, nearest or sign before it")
    return [tensor.reshape(_matrix(tensor.shape)) for tensor in tensors]


def _shapes(tensors: list[Tensor]) -> list[Shape]:
    return [tensor.shape for tensor in tensors]


def _matrix(shape: Shape) -> tuple[int, int]:
    return (shape[0], prod(shape[1:])) if len(shape) > 1 else (1, prod(shape))


def build(call: Call) -> Range:
    """Read ``range`` or ``range(rows)``.

    ``rows`` costs a receiver next to nothing for zeros, and fewer bytes; receivers before
    FrugalFL 0.2 refuse it. It changes nothing after ``stochastic``, whose thresholds are shared.
    """
    arity(call, 0, 1)
    if call.arguments and call.arguments[0] != Call("rows"):
        raise UsageError(f"range takes 'rows' or nothing: {call}")
    return Range(by_rows=bool(call.arguments))
