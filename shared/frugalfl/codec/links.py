"""What the links of a chain have in common: their types, and what they must be able to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from frugalfl.blocks import FloatArray, Shape
from frugalfl.codec.buffer import Reader
from frugalfl.codec.entropy import mix

if TYPE_CHECKING:
    from frugalfl.codec.stochastic import Steering

#: float32 values, or int32 symbols once a quantizing link has run.
Tensor = npt.NDArray[Any]
#: One uint32 for each entry of each tensor, known to both ends.
Thresholds = Sequence[npt.NDArray[np.uint32]]
#: What a link does to the mean of an update; exact links drop nothing that matters.
Family = Literal["exact", "unbiased", "biased"]


class Sparse(NamedTuple):
    """The nonzero entries of an update; all others are zero.

    Attributes:
        places: int64, shape (nonzeros,): where they are, counted over all tensors in order; rising.
        values: Shape (nonzeros,): float32, or symbols.
    """

    places: npt.NDArray[np.int64]
    values: npt.NDArray[Any]


@dataclass(frozen=True)
class Product:
    """A tensor that is the matrix product of two thin ones, not multiplied yet.

    Attributes:
        left: float32, shape (rows, rank).
        right: float32, shape (rank, columns).
        shape: Of the tensor: its first axis has the rows, the others together the columns.
    """

    left: FloatArray
    right: FloatArray
    shape: Shape

    def dense(self) -> FloatArray:
        """Multiply."""
        product: FloatArray = self.left @ self.right
        return product.reshape(self.shape)


#: A decoded update no further unpacked than adding it needs: sparse, or one item a tensor.
Compact = Sparse | list[FloatArray | Product]


class Transform(Protocol):
    """A link before the last: tensors to tensors, with side information.

    A transform whose :meth:`backward` treats each entry by itself, and leaves zeros zero, says so
    with an attribute ``pointwise = True``: it then runs on the nonzero entries alone. One that
    multiplies matrices may have a method ``factors`` beside :meth:`backward`, with the same
    arguments, that returns the :class:`Product` in place of the product.
    """

    family: Family

    def forward(self, tensors: list[Tensor], seed: int) -> tuple[list[Tensor], bytes]:
        """Return the transformed tensors, and the bytes that :meth:`backward` needs.

        Args:
            tensors: What the link before returned; not to be changed.
            seed: Seed of this update's randomness, 32 bits; the other end knows it.
        """

    def backward(
        self, tensors: list[Tensor], side: Reader, shapes: Sequence[Shape], seed: int
    ) -> list[Tensor]:
        """Undo :meth:`forward` as far as it can be undone.

        Args:
            tensors: What comes back from the link after.
            side: The side information; must be read to its end.
            shapes: Shapes of what :meth:`forward` was given.
            seed: As in :meth:`forward`.
        """

    def shapes_after(self, shapes: Sequence[Shape]) -> list[Shape]:
        """Return the shapes that :meth:`forward` turns these into."""


class SameShapes:
    """For transforms that keep the number and the shapes of the tensors."""

    def shapes_after(self, shapes: Sequence[Shape]) -> list[Shape]:
        """Return the same shapes."""
        return list(shapes)


class Coder(Protocol):
    """The last link: tensors to bytes.

    A coder of nonzeros may have a method ``decode_sparse`` beside :meth:`decode`, with the same
    arguments, that returns :class:`Sparse` symbols.
    """

    def encode(self, tensors: list[Tensor], thresholds: Thresholds | None) -> bytes:
        """Return all tensors as bytes.

        Args:
            tensors: What the last transform returned.
            thresholds: Those that rounded the tensors, where the decoder knows them too.
        """

    def decode(
        self, data: memoryview, shapes: Sequence[Shape], thresholds: Thresholds | None
    ) -> list[Tensor]:
        """Return the tensors; must not take more memory than the shapes need.

        Raises:
            FrameError: The bytes are not what :meth:`encode` could have written.
        """


class Chain(Protocol):
    """Transforms and what ends them, without error feedback: a codec, or a part of one."""

    @property
    def families(self) -> frozenset[Family]:
        """The family of each way that a tensor can take through the chain."""

    def pack(self, tensors: list[Tensor], seed: int) -> bytes:
        """Return the payload of these tensors; at least one."""

    def unpack(self, payload: memoryview, shapes: Sequence[Shape], seed: int) -> list[Tensor]:
        """Return the tensors.

        Raises:
            FrameError: The payload does not fit the chain and the shapes.
        """

    def decode_compact(
        self, payload: memoryview, shapes: Sequence[Shape], seed: int = 0
    ) -> Compact:
        """Return the same, no further unpacked than adding it needs.

        Raises:
            FrameError: As for :meth:`unpack`.
        """

    def steering(self, payload: memoryview) -> Steering | None:
        """Return what a payload says of its step.

        Raises:
            FrameError: The payload does not fit the chain.
        """


@runtime_checkable
class Chooser(Protocol):
    """The last link of a chain that does not treat all tensors alike."""

    @property
    def families(self) -> frozenset[Family]:
        """The family of each way that a tensor can take."""

    def encode(self, tensors: list[Tensor], seed: int) -> bytes:
        """Return all tensors as bytes, and what says which went which way.

        Args:
            tensors: What the last transform returned; not to be changed.
            seed: Seed of this update's randomness, 32 bits; the other end knows it.
        """

    def decode(self, data: memoryview, shapes: Sequence[Shape], seed: int) -> list[Tensor]:
        """Return the tensors; must not take more memory than the shapes need.

        Raises:
            FrameError: The bytes are not what :meth:`encode` could have written.
        """


class _SharedThresholds(Sequence[npt.NDArray[np.uint32]]):
    """Draws the words of a tensor when they are asked for: most coders need few of them."""

    def __init__(self, shapes: Sequence[Shape], seed: int) -> None:
        self._shapes = shapes
        self._seed = seed
        self._starts = [0, *accumulate(map(prod, shapes))]

    def __len__(self) -> int:
        return len(self._shapes)

    def __getitem__(self, index: Any) -> Any:
        shape = self._shapes[index]
        return mix(self._seed, prod(shape), self._starts[index]).reshape(shape)


def shared_thresholds(shapes: Sequence[Shape], seed: int) -> Thresholds:
    """Return one pseudo-random word for each entry of each tensor, the same at both ends."""
    return _SharedThresholds(shapes, seed)


def squared_norm(part: npt.NDArray[Any] | Product) -> float:
    """Return the sum of squares, of a product a bound of it; NaN or infinite if any entry is.

    It is the quickest test for entries that are not finite.
    """
    if isinstance(part, Product):
        return squared_norm(part.left) * squared_norm(part.right)
    # vdot takes any shape as a vector.
    return float(np.vdot(part, part))
