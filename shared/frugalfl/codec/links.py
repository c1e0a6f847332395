"""What the links of a chain have in common: their types, and what they must be able to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from frugalfl.blocks import FloatArray, Shape
from frugalfl.codec.buffer import Reader
from frugalfl.codec.entropy import SharedThresholds

#: float32 values, or int32 symbols once a quantizing link has run.
Tensor = npt.NDArray[Any]
#: One uint32 for each entry of each tensor, known to both ends.
Thresholds = Sequence[npt.NDArray[np.uint32]]
#: Keeps dithers apart from what else is drawn from a seed.
_DITHER = 0x44495448
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


@dataclass(frozen=True)
class Steering:
    """What a frame says to the server that steers the next round's steps.

    Attributes:
        step: Step of the rounding, in units of the parameters.
        base: ``sum x² / sum |x|`` of the update before rounding, same units: the step at which
            rounding adds as much power as the update has; ``None`` if no server steers.
    """

    step: float
    base: float | None


class Transform(Protocol):
    """A link before the last: tensors to tensors, with side information.

    Attributes:
        family: What it does to the mean of an update.
        pointwise: Whether :meth:`backward` treats each entry by itself and leaves zeros zero: it
            then runs on the nonzero entries alone.
        rounds_by_seed: Whether it rounds by the thresholds that both ends draw from the seed.
        dithers: Whether it adds the dither that both ends draw from the seed, before it rounds.
    """

    family: Family
    pointwise: bool = False
    rounds_by_seed: bool = False
    dithers: bool = False

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

    def factors(
        self, tensors: list[Tensor], side: Reader, shapes: Sequence[Shape], seed: int
    ) -> Sequence[Tensor | Product]:
        """Return what :meth:`backward` does, with products of matrices not multiplied yet."""
        return self.backward(tensors, side, shapes, seed)

    def shapes_after(self, shapes: Sequence[Shape]) -> list[Shape]:
        """Return the shapes that :meth:`forward` turns these into; most transforms keep them."""
        return list(shapes)

    def steering(self, side: Reader) -> Steering | None:
        """Return what the side information says of a step that a server steers."""
        return None


class Draws(NamedTuple):
    """What both ends draw from the seed of an update.

    Attributes:
        seed: Seed of the update's randomness, 32 bits.
        rounded: Whether the last transform rounded by the seed's thresholds.
        dithered: Whether the last transform added a dither that the seed decides.
    """

    seed: int
    rounded: bool = False
    dithered: bool = False

    def thresholds(self, shapes: Sequence[Shape]) -> Thresholds | None:
        """Return the thresholds that rounded tensors of these shapes, if any did."""
        return shared_thresholds(shapes, self.seed) if self.rounded else None

    def dithers(self, shapes: Sequence[Shape]) -> Thresholds | None:
        """Return the dither of tensors of these shapes as words, if there was any."""
        return shared_dither(shapes, self.seed) if self.dithered else None


class Coder(Protocol):
    """The last link: tensors to bytes; or a choice between chains, which does it with those.

    Attributes:
        families: The family of each way that a tensor can take.
    """

    families: frozenset[Family] = frozenset(["exact"])

    def encode(self, tensors: list[Tensor], draws: Draws) -> bytes:
        """Return all tensors as bytes.

        Args:
            tensors: What the last transform returned; not to be changed.
            draws: What the decoder can draw too.
        """

    def decode(self, data: memoryview, shapes: Sequence[Shape], draws: Draws) -> list[Tensor]:
        """Return the tensors; must not take more memory than the shapes need.

        Raises:
            FrameError: The bytes are not what :meth:`encode` could have written.
        """

    def decode_sparse(
        self, data: memoryview, shapes: Sequence[Shape], draws: Draws
    ) -> Sparse | None:
        """Return the nonzero symbols alone, from a coder that codes only those.

        Raises:
            FrameError: As for :meth:`decode`.
        """
        return None

    def ideal_bytes(self, tensors: list[Tensor], draws: Draws) -> float | None:
        """Return the length (B) under perfect coding with the coder's model, if it has one."""
        return None


def shared_thresholds(shapes: Sequence[Shape], seed: int) -> Thresholds:
    """Return one pseudo-random word for each entry of each tensor, the same at both ends."""
    return SharedThresholds(shapes, seed)


def shared_dither(shapes: Sequence[Shape], seed: int) -> Thresholds:
    """Return one pseudo-random word for each entry, not the ones that rounding is decided by."""
    return shared_thresholds(shapes, seed ^ _DITHER)


def squared_norm(part: npt.NDArray[Any] | Product) -> float:
    """Return the sum of squares, of a product a bound of it; NaN or infinite if any entry is.

    It is the quickest test for entries that are not finite.
    """
    if isinstance(part, Product):
        return squared_norm(part.left) * squared_norm(part.right)
    # vdot takes any shape as a vector.
    return float(np.vdot(part, part))
