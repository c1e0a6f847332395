"""Weights that are computed from others, written out as they are: training is over.

PyTorch's parametrizations (orthogonal, weight norm, spectral norm) compute a layer's weights anew
in every run of it. In a file for a device they are constants, and the converter has no operators
for some of what computes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def write_out_weights(module: torch.nn.Module) -> torch.nn.Module:
    """Return the module with the values of its parametrized tensors in place of these.

    ``torch.nn.utils.parametrize.remove_parametrizations`` would take the tensor's property from a
    class that a copy shares with the layer that it is a copy of.

    Args:
        module: In evaluation mode; changed in place.
    """
    import torch
    from torch.nn.utils import parametrize

    for one in list(module.modules()):
        if parametrize.is_parametrized(one):
            layer: Any = one
            with torch.no_grad():
                values = {name: getattr(layer, name).clone() for name in layer.parametrizations}
            del layer.parametrizations
            layer.__class__ = type(layer).__bases__[0]
            for name, value in values.items():
                layer.register_parameter(name, torch.nn.Parameter(value))
    return module
