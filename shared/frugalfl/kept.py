"""Which entries of a model stay when it is pruned in whole channels.

Structured pruning only takes entries away, along axes: what is left of a tensor is the outer
product of the indices that stay on each of its axes. So whoever holds the whole model needs these
lists of indices, and no numbers, to hold the pruned one.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from frugalfl.blocks import Parameters

Indices = npt.NDArray[np.intp]
#: By tensor: for each of its axes the indices that stay, rising; ``None``: all of them.
Kept = Mapping[str, tuple[Indices | None, ...]]


def take(parameters: Parameters, kept: Kept) -> Parameters:
    """Return the entries that stay, as new tensors.

    Args:
        parameters: Tensors by name.
        kept: For these tensors, or more of them.
    """
    taken: Parameters = {}
    for name, tensor in parameters.items():
        left = tensor.copy()
        for axis, indices in enumerate(kept[name]):
            if indices is not None:
                left = left.take(indices, axis)
        taken[name] = left
    return taken
