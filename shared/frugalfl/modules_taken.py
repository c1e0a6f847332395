"""Models that cannot be copied, cut or loaded with weights, found as they are built."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

#: Floats that numpy has too: which of them a model may have is for :mod:`frugalfl.blocks` to say.
_OF_NUMPY = ("float16", "float32", "float64")


def untakeable(module: torch.nn.Module) -> str:
    """Say why what ``model()`` returned is of no use, and what to write instead; empty: it is."""
    if why := _no_module(module):
        return why
    if type(module).__module__.startswith("torch.jit"):
        return "is scripted, and cannot be looked into; return it without torch.jit.script"
    for path, tensor in module.named_parameters():
        if type(tensor).__name__.startswith("Uninitialized"):
            return f"has no shape yet for {path!r}; give the layer's sizes instead of a lazy one"
    for path, tensor in module.state_dict().items():
        if tensor.device.type != "cpu":
            return f"has {path!r} on {tensor.device.type}; build it on the CPU"
        dtype = str(tensor.dtype).removeprefix("torch.")
        if tensor.is_floating_point() and dtype not in _OF_NUMPY:
            return f"has {path!r} in {dtype}; models train and travel in float32: call .float()"
    for path in _computed_names(module):
        return (
            f"holds a computed tensor, {path!r}, and cannot be copied; use weight_norm of "
            "torch.nn.utils.parametrizations, or compute it in forward"
        )
    return ""


def _no_module(returned: object) -> str:
    """Say what was returned in place of a module; empty: it is one, by what it has."""
    if isinstance(returned, type):
        return f"is the class {returned.__name__}; model() must return a torch.nn.Module"
    if hasattr(returned, "named_modules"):
        return ""
    return f"is of type {type(returned).__name__}; model() must return a torch.nn.Module"


def _computed_names(module: torch.nn.Module) -> Iterator[str]:
    """Yield the names of attributes that were computed of trained tensors."""
    for path, one in module.named_modules():
        values: dict[str, Any] = vars(one)
        for name, value in values.items():
            if not getattr(value, "is_leaf", True):
                yield f"{path}.{name}".lstrip(".")
