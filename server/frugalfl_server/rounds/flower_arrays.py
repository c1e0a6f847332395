"""Between our parameters and Flower's arrays."""

from __future__ import annotations

import numpy as np
from flwr.app import Array, ArrayRecord

from frugalfl.blocks import Parameters


def pack(parameters: Parameters) -> ArrayRecord:
    """Return parameters as Flower's arrays, one a tensor."""
    return ArrayRecord({name: Array(np.asarray(tensor)) for name, tensor in parameters.items()})


def unpack(arrays: ArrayRecord) -> Parameters:
    """Return Flower's arrays as parameters: float32, whatever a strategy computed in."""
    return {name: np.asarray(array.numpy(), np.float32) for name, array in arrays.items()}
