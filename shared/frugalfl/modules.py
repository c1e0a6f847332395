"""From a ``torch.nn.Module`` to named arrays and back, without importing PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from frugalfl.blocks import FloatArray, Parameters, is_statistic
from frugalfl.errors import TaskError

if TYPE_CHECKING:
    import torch


def named_tensors(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return every floating-point tensor of the module's state, running statistics included.

    Tied weights are one tensor under several names; here it has the first of them, so that it is
    trained, sent, rounded and kept once, and cannot become two.
    """
    first: dict[int, str] = {}
    named: dict[str, torch.Tensor] = {}
    for name, tensor in module.state_dict().items():
        if not tensor.is_floating_point():
            continue
        # Memory tells: a state holds new tensor objects over the module's own numbers.
        place = tensor.data_ptr() or id(tensor)
        if first.setdefault(place, name) == name or named[first[place]].shape != tensor.shape:
            named[name] = tensor
    return named


def constants_of(module: torch.nn.Module) -> frozenset[str]:
    """Return the names of the tensors that no training moves: buffers, but running statistics."""
    moved = {name for name, _ in module.named_parameters()}
    return frozenset(
        name for name in named_tensors(module) if name not in moved and not is_statistic(name)
    )


def read_parameters(module: torch.nn.Module) -> Parameters:
    """Copy every tensor of :func:`named_tensors`."""
    return {
        name: np.array(tensor.detach().numpy()) for name, tensor in named_tensors(module).items()
    }


def write_parameters(module: torch.nn.Module, parameters: Mapping[str, FloatArray]) -> None:
    """Copy named arrays into the module, in place.

    A running variance that a codec's rounding has made negative becomes 0: its root would be NaN.

    Raises:
        TaskError: A name the module does not have, or another shape than it has.
    """
    state = module.state_dict()
    for name, array in parameters.items():
        if name not in state or tuple(state[name].shape) != array.shape:
            has = tuple(state[name].shape) if name in state else "no such tensor"
            raise TaskError(
                f"the model's {name!r} is {has}, but {array.shape} came; is it the same task?"
            )
        state[name].detach().numpy()[...] = np.maximum(array, 0) if _is_variance(name) else array


def _is_variance(name: str) -> bool:
    return name.rpartition(".")[2] == "running_var"
