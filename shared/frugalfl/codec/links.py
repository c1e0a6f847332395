"""What the links of a chain have in common: their types, and what they must be able to do."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import prod
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from frugalfl.blocks import Shape
from frugalfl.codec.buffer import Reader
from frugalfl.codec.entropy import mix

#: float32 values, or int32 symbols once a quantizing link has run.
Tensor = npt.NDArray[Any]
#: One uint32 for each entry of each tensor, known to both ends.
Thresholds = Sequence[npt.NDArray[np.uint32]]
#: What a link does to the mean of an update; exact links drop nothing that matters.
Family = Literal["exact", "unbiased", "biased"]


class Transform(Protocol):
    """A link before the last: tensors to tensors, with side information."""

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
    """The last link: tensors to bytes."""

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
