"""Weights at which a group of channels may be cut without changing an average over them.

A layer norm divides by the spread of its channels. So a model without some channels does not
compute what the whole one does with those at zero, and yet it is the right one. Here all channels
of a group are copies of two: then averages stay as they are if the copies of both go evenly. Layers
that read the channels have weights for those that stay only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from frugalfl.blocks import Parameters
from frugalfl.kept import Indices, Kept, take
from frugalfl_server.export.channels import Channels
from frugalfl_server.export.kept_entries import all_cuts
from frugalfl_server.export.prune_cut import Narrowed


class _Axis(NamedTuple):
    """What a group has of one axis of a tensor: its entries' kind (0, 1; -1: not its own)."""

    kinds: Indices
    reads: bool


def twins(
    weights: Parameters, groups: Iterable[tuple[Channels, Narrowed]]
) -> tuple[Kept, Parameters, Parameters]:
    """Return a cut, the weights of the cut model, and those of the whole one.

    Args:
        weights: Of the whole model, drawn.
        groups: What becomes narrower.

    Raises:
        ExportError: The groups cannot be cut so.
    """
    shapes = {name: array.shape for name, array in weights.items()}
    cuts: list[Kept] = []
    axes: dict[tuple[str, int], list[_Axis]] = {}
    for channels, one in groups:
        cuts.append(channels.kept_without(one.places(range(one.stay // one.blocks, one.size))))
        for key, axis in _axes(channels, one, weights):
            axes.setdefault(key, []).append(axis)
    kept = all_cuts(cuts, shapes)
    small, whole = take(weights, kept), {}
    for name, array in small.items():
        whole[name] = array
        for number, lists in enumerate(kept[name]):
            found = axes.get((name, number), [])
            if lists is not None:
                small[name] = small[name].take(_alike(lists, found), number)
                whole[name] = _spread(whole[name], number, lists, found, shapes[name][number])
    return kept, small, whole


def _axes(
    channels: Channels, one: Narrowed, weights: Parameters
) -> Iterable[tuple[tuple[str, int], _Axis]]:
    """Yield what a group has of each axis; even and odd places of a block are of two kinds."""
    even, odd = (channels.kept_without(one.places(range(k, one.size, 2))) for k in (1, 0))
    reads = channels.read_without(one.places(range(0, one.size, 2)))
    both = (one.stay // one.blocks) % 2 == one.size % 2 == 0
    for name, lists in odd.items():
        for number, stays in enumerate(lists):
            others = even[name][number]
            if stays is not None and others is not None:
                kinds = np.full(weights[name].shape[number], -1)
                every = np.arange(kinds.size)
                kinds[np.setdiff1d(every, stays)] = 0
                kinds[np.setdiff1d(every, others)] = int(both)
                yield (name, number), _Axis(kinds, (name, number) in reads)


def _alike(lists: Indices, found: Sequence[_Axis]) -> Indices:
    """Return from which entry of the small tensor each of its entries comes."""
    source = np.arange(lists.size)
    for axis in found:
        if not axis.reads:
            for kind in (0, 1):
                own = np.flatnonzero(axis.kinds[lists] == kind)
                source[own] = own[0] if own.size else 0
    return source


def _spread(
    array: np.typing.NDArray[np.float32],
    number: int,
    lists: Indices,
    found: Sequence[_Axis],
    size: int,
) -> np.typing.NDArray[np.float32]:
    """Return an axis at full length: copies of the entries that stay, or zeros if it reads."""
    source, counts = np.zeros(size, np.intp), np.zeros(size, np.float32)
    source[lists], counts[lists] = _alike(lists, found), 1
    for axis in found:
        for kind in (0, 1) if not axis.reads else ():
            own = np.flatnonzero(axis.kinds[lists] == kind)
            if own.size:
                source[axis.kinds == kind], counts[axis.kinds == kind] = own[0], 1
    shape = [size if k == number else 1 for k in range(array.ndim)]
    spread: np.typing.NDArray[np.float32] = array.take(source, number) * counts.reshape(shape)
    return spread
