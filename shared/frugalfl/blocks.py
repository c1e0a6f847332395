"""Parameter blocks: what travels, or stays, as a whole.

A block is one named group of tensors that travels, or stays, as a whole: a layer by default, that
is, its weight, bias and running statistics together. A layout is the ordered list of blocks of a
model; both ends compute the same one from the model's tensors, so that a frame names blocks by
number only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np
import numpy.typing as npt

from frugalfl.errors import FrameError, TaskError, UsageError

FloatArray = npt.NDArray[np.float32]
#: A model's tensors by name, float32, in the order of the model.
Parameters = dict[str, FloatArray]
Shape = tuple[int, ...]

#: The model that clients hold consists of multiples of 2**-14, about 0.00006.
LATTICE_BITS = 14
#: Float32 holds every multiple below this exactly, so that sums do not depend on their order.
EXACT_BELOW = 2.0 ** (24 - LATTICE_BITS)
_LARGEST_PARAMETER = 65536.0


@dataclass(frozen=True)
class Block:
    """One named group of tensors that travels as a whole."""

    name: str
    tensors: tuple[str, ...]
    shapes: tuple[Shape, ...]


@dataclass(frozen=True)
class Layout:
    """The ordered blocks of one model."""

    blocks: tuple[Block, ...]

    @classmethod
    def of(cls, parameters: Mapping[str, FloatArray]) -> Layout:
        """Group tensors by layer: everything before the last dot of the name is the block's name.

        Raises:
            TaskError: No tensors, or a tensor that is not float32.
        """
        groups: dict[str, list[str]] = {}
        for name, tensor in parameters.items():
            if tensor.dtype != np.float32:
                raise TaskError(
                    f"parameter {name!r} is {tensor.dtype}; models train and travel in float32"
                )
            groups.setdefault(name.rpartition(".")[0] or name, []).append(name)
        if not groups:
            raise TaskError("the model has no parameters to train")
        return cls(
            tuple(
                Block(block, tuple(names), tuple(parameters[name].shape for name in names))
                for block, names in groups.items()
            )
        )

    def __len__(self) -> int:
        return len(self.blocks)

    def names(self, chosen: Iterable[int]) -> list[str]:
        """Return the tensor names of the chosen blocks, in the order of the model."""
        return [name for number in sorted(chosen) for name in self.blocks[number].tensors]

    def shapes(self, chosen: Iterable[int]) -> list[tuple[Shape, ...]]:
        """Return the tensor shapes of each chosen block, in the order of the model."""
        return [self.blocks[number].shapes for number in sorted(chosen)]

    def with_shapes(self, shapes: Mapping[int, Sequence[Shape]]) -> Layout:
        """Return the same blocks with other shapes: a pruned model has the names of the whole one.

        Raises:
            FrameError: Another number of blocks, tensors or axes.
        """
        if set(shapes) != set(self.everything):
            raise FrameError(
                f"a full model has {len(self)} blocks here, {len(shapes)} came; same task?"
            )
        for number, block in enumerate(self.blocks):
            if list(map(len, shapes[number])) != list(map(len, block.shapes)):
                raise FrameError(
                    f"block {block.name!r} has other tensors in the frame than in the task's model"
                )
        return Layout(
            tuple(
                replace(block, shapes=tuple(shapes[number]))
                for number, block in enumerate(self.blocks)
            )
        )

    def matching(self, patterns: Sequence[str]) -> tuple[int, ...]:
        """Return the numbers of the blocks whose names match any of these shell patterns.

        Raises:
            UsageError: A pattern that no block's name matches.
        """
        names = [block.name for block in self.blocks]
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in names):
                known = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
                raise UsageError(f"no block matches {pattern!r}; the model's blocks are {known}")
        return tuple(
            number
            for number, name in enumerate(names)
            if any(fnmatchcase(name, pattern) for pattern in patterns)
        )

    def check(self, chosen: Sequence[int]) -> None:
        """Refuse block numbers, as they came in a message, that cannot be trained here.

        Raises:
            FrameError: No block, one that the model does not have, or one twice.
        """
        if not chosen:
            raise FrameError("the plan of this round names no block to train")
        for number in chosen:
            if not 0 <= number < len(self):
                raise FrameError(
                    f"the plan of this round names block {number}, the model here has "
                    f"{len(self)} (0 to {len(self) - 1}); same task and settings?"
                )
        if len(set(chosen)) < len(chosen):
            raise FrameError(f"the plan of this round names a block twice: {list(chosen)}")

    @property
    def everything(self) -> tuple[int, ...]:
        """All block numbers."""
        return tuple(range(len(self.blocks)))


def is_statistic(name: str) -> bool:
    """Return whether a tensor is a running statistic: followed, not trained.

    PyTorch's norms call theirs ``running_mean`` and ``running_var``; a buffer of the user's own
    that training changes is one if its name begins with ``running_`` too.
    """
    return name.rpartition(".")[2].startswith("running_")


def within_bounds(tensors: Iterable[FloatArray]) -> bool:
    """Return whether all values are such as a model may hold: up to ±65536, and no NaN."""
    return all((np.abs(tensor) <= _LARGEST_PARAMETER).all() for tensor in tensors)


def snap(tensor: FloatArray) -> FloatArray:
    """Round to the lattice of multiples of ``2**-LATTICE_BITS``, kept as float32.

    The model that clients hold lives on this lattice: sums of differences on it are exact in any
    order (below ``EXACT_BELOW``), so that missed rounds can travel as one sum, a full copy travels
    without any loss, and a newcomer holds the same bits as a client that added up differences.
    The server's own model keeps float32: what the lattice drops, the next difference carries.

    Raises:
        TaskError: A value beyond ±65536, or NaN.
    """
    if not within_bounds([tensor]):
        raise TaskError(
            "a parameter is NaN or beyond ±65536; training diverged: lower the learning rate"
        )
    # Scaling by a power of two is exact in float32, and so is what rint returns.
    multiples: FloatArray = np.rint(tensor * np.float32(2.0**LATTICE_BITS))
    return multiples * np.float32(2.0**-LATTICE_BITS)
