"""Which entries of a tensor a cut has kept, as lists of indices by axis.

The pruning library cuts tensors, and does not say which entries of which tensor that took along.
So it cuts copies in which every entry holds its own place: what is left says where it came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from frugalfl.blocks import Shape
from frugalfl.errors import ExportError
from frugalfl.kept import Indices, Kept
from frugalfl.modules import named_tensors

if TYPE_CHECKING:
    import torch

    _Part = TypeVar("_Part", torch.nn.Module, torch.nn.Parameter)


def number_entries(part: _Part) -> _Part:
    """Make every floating-point entry of a layer or parameter its own place, in float64."""
    import torch

    if isinstance(part, torch.nn.Parameter):
        numbers = torch.arange(part.numel(), dtype=torch.float64).view(part.shape)
        return torch.nn.Parameter(numbers)
    part.double()
    with torch.no_grad():
        for tensor in named_tensors(part).values():
            tensor.copy_(torch.arange(tensor.numel()).view(tensor.shape))
    return part


def kept_entries(name: str, places: torch.Tensor, shape: Shape) -> tuple[Indices | None, ...]:
    """Return the lists whose outer product these places are, by axis; ``None``: all of an axis.

    Args:
        name: Of the tensor, for the error.
        places: What a cut has left of a tensor of places.
        shape: Of the tensor before.

    Raises:
        ExportError: There are no such lists.
    """
    left = places.detach().numpy()
    flat = left.astype(np.intp)
    if left.ndim != len(shape) or not left.size or not np.array_equal(flat, left):
        raise ExportError(f"{name!r} cannot be cut")
    # Flat: numpy 2.4 unravels large arrays with axes of size 1 wrongly.
    found = np.unravel_index(flat.ravel().clip(0, int(np.prod(shape)) - 1), shape)
    lists: list[Indices] = [
        np.moveaxis(index.reshape(flat.shape), axis, 0).reshape(flat.shape[axis], -1)[:, 0]
        for axis, index in enumerate(found)
    ]
    if any((np.diff(one) < 1).any() for one in lists) or not np.array_equal(
        flat, np.ravel_multi_index(np.ix_(*lists), shape) if lists else flat
    ):
        raise ExportError(f"{name!r} cannot be cut along its axes")
    return tuple(
        None if indices.size == size else indices
        for indices, size in zip(lists, shape, strict=True)
    )


def all_cuts(cuts: Iterable[Kept], shapes: Mapping[str, Shape]) -> Kept:
    """Return what is left of every tensor after several cuts.

    Args:
        cuts: Of some of the tensors each.
        shapes: Of all tensors, by name.

    Raises:
        ExportError: Nothing is left of an axis.
    """
    left = common([{name: (None,) * len(shape) for name, shape in shapes.items()}, *cuts])
    if any(one is not None and not one.size for lists in left.values() for one in lists):
        raise ExportError("nothing would be left of a layer")
    return left


def common(cuts: Iterable[Kept]) -> Kept:
    """Return what several cuts leave of the tensors that they name; that may be nothing."""
    left: dict[str, tuple[Indices | None, ...]] = {}
    for cut in cuts:
        for name, lists in cut.items():
            left[name] = tuple(map(_both, left.get(name, lists), lists))
    return left


def shapes_left(kept: Kept, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Return the shape of every tensor after a cut."""
    return {
        name: tuple(
            size if one is None else one.size for one, size in zip(kept[name], shape, strict=True)
        )
        for name, shape in shapes.items()
    }


def _both(one: Indices | None, other: Indices | None) -> Indices | None:
    if one is None or other is None:
        return other if one is None else one
    return np.intersect1d(one, other)
