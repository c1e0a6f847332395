"""Transforms and a coder, one behind the other: tensors to a payload and back.

Transforms come first, each turning tensors into tensors that are easier to code, with a little
side information (a step, a scale); a coder ends the chain and turns them into bytes. Decoding runs
the chain backwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from frugalfl.blocks import Shape
from frugalfl.codec.buffer import Reader, varint
from frugalfl.codec.links import (
    Coder,
    Compact,
    Draws,
    Family,
    Product,
    Sparse,
    Steering,
    Tensor,
    Transform,
    squared_norm,
)
from frugalfl.errors import FrameError

_MAX_SIDE = 1 << 16
#: A chain is of the last of these that one of its links is of.
ORDER: Final[tuple[Family, ...]] = ("exact", "unbiased", "biased")
_LARGEST = float(np.finfo(np.float32).max)


class Chain:
    """A codec without its error feedback, or a part of one."""

    keeps_statistics_apart = False

    def __init__(self, transforms: Sequence[Transform], coder: Coder) -> None:
        self._transforms = tuple(transforms)
        self._coder = coder
        self._pointwise = all(transform.pointwise for transform in transforms)
        self._rounded = bool(transforms) and transforms[-1].rounds_by_seed
        self._dithered = bool(transforms) and transforms[-1].dithers

    @property
    def families(self) -> frozenset[Family]:
        """The family of each way that a tensor can take; several if the last link chooses."""
        own = [transform.family for transform in self._transforms]
        return frozenset(max([*own, last], key=ORDER.index) for last in self._coder.families)

    def pack_named(self, named: Mapping[str, Tensor], seed: int) -> bytes:
        """Return the payload of tensors, whatever their names."""
        return self.pack(list(named.values()), seed)

    def pack(self, tensors: list[Tensor], seed: int) -> bytes:
        """Return the payload of these tensors; at least one."""
        tensors, sides = self._transform(tensors, seed)
        return sides + self._coder.encode(tensors, self._draws(seed))

    def unpack(self, payload: memoryview, shapes: Sequence[Shape], seed: int) -> list[Tensor]:
        """Undo :meth:`pack`; the tensors are as the chain was given them, or near.

        Raises:
            FrameError: The payload does not fit the chain and the shapes.
        """
        coded, sides = self._open(payload)
        return self._undo(coded, sides, shapes, seed)

    def unpack_compact(self, payload: memoryview, shapes: Sequence[Shape], seed: int) -> Compact:
        """Return the same, no further unpacked than adding it to something needs.

        Returns:
            The nonzero entries, if coder and transforms all keep to them; otherwise tensors,
            or the two factors of one, in the order of ``shapes``. All float32.

        Raises:
            FrameError: As for :meth:`unpack`, or the square of an entry is beyond float32.
        """
        coded, sides = self._open(payload)
        if self._pointwise and (sparse := self._nonzeros(coded, sides, shapes, seed)) is not None:
            check_squares(squared_norm(sparse.values))
            return sparse
        with np.errstate(over="ignore"):
            parts = [
                part if isinstance(part, Product) else np.asarray(part, np.float32)
                for part in self._undo(coded, sides, shapes, seed, factored=True)
            ]
        for part in parts:
            check_squares(squared_norm(part))
        return parts

    def steering(self, payload: memoryview) -> Steering | None:
        """Return what a payload says of its step, for the server that steers it.

        Raises:
            FrameError: The payload does not fit the chain.
        """
        reader = Reader(payload)
        for transform in self._transforms:
            side = Reader(reader.bytes(reader.varint(_MAX_SIDE)))
            if (found := transform.steering(side)) is not None:
                return found
        return None

    def ideal_bytes(self, tensors: list[Tensor], seed: int) -> float | None:
        """Return what the symbols are worth to the coder's own model (B), if it has one."""
        symbols, _ = self._transform(tensors, seed)
        return self._coder.ideal_bytes(symbols, self._draws(seed))

    def _draws(self, seed: int) -> Draws:
        return Draws(seed, self._rounded, self._dithered)

    def _transform(self, tensors: list[Tensor], seed: int) -> tuple[list[Tensor], bytes]:
        """Return what the coder gets, and the side information of all transforms."""
        parts = []
        for transform in self._transforms:
            tensors, side = transform.forward(tensors, seed)
            parts += [varint(len(side)), side]
        return tensors, b"".join(parts)

    def _open(self, payload: memoryview) -> tuple[memoryview, list[Reader]]:
        """Return the coder's bytes, and a reader of each transform's side information."""
        reader = Reader(payload)
        sides = [Reader(reader.bytes(reader.varint(_MAX_SIDE))) for _ in self._transforms]
        return reader.rest(), sides

    def _undo(
        self,
        coded: memoryview,
        sides: list[Reader],
        shapes: Sequence[Shape],
        seed: int,
        factored: bool = False,
    ) -> list[Any]:
        """Run the chain backwards; ``factored``: leave products that come out last as factors."""
        on_the_way = [list(shapes)]
        for transform in self._transforms:
            on_the_way.append(transform.shapes_after(on_the_way[-1]))
        tensors: Sequence[Any] = self._coder.decode(coded, on_the_way.pop(), self._draws(seed))
        for transform, side in zip(reversed(self._transforms), reversed(sides), strict=True):
            last = factored and len(on_the_way) == 1
            backward = transform.factors if last else transform.backward
            tensors = backward(list(tensors), side, on_the_way.pop(), seed)
            _check_end(side)
        return list(tensors)

    def _nonzeros(
        self, coded: memoryview, sides: list[Reader], shapes: Sequence[Shape], seed: int
    ) -> Sparse | None:
        """Run the chain backwards on the nonzero entries alone, if the coder can find them."""
        found = self._coder.decode_sparse(coded, shapes, self._draws(seed))
        if found is None:
            return None
        values = found.values
        for transform, side in zip(self._transforms[::-1], sides[::-1], strict=True):
            (values,) = transform.backward([values], side, [values.shape], seed)
            _check_end(side)
        return Sparse(found.places, np.asarray(values, np.float32))


def _check_end(side: Reader) -> None:
    if not side.finished:
        raise FrameError("the frame's side information is longer than its codec needs")


def check_squares(total: float) -> None:
    """Refuse entries of which a sum of squares shows that they are not finite, or beyond all use.

    Raises:
        FrameError: So it is.
    """
    if not total < _LARGEST:
        raise FrameError("the frame decodes to NaN, infinity or beyond; it is refused")
