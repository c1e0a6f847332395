"""Models that cannot be copied, cut or loaded with weights, found as they are built."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def untakeable(module: torch.nn.Module) -> str:
    """Say why a model cannot be used, and what to write instead; empty: it can."""
    if type(module).__module__.startswith("torch.jit"):
        return "is scripted, and cannot be looked into; return it without torch.jit.script"
    for path, tensor in module.named_parameters():
        if type(tensor).__name__.startswith("Uninitialized"):
            return f"has no shape yet for {path!r}; give the layer's sizes instead of a lazy one"
    for path in _computed_names(module):
        return (
            f"holds a computed tensor, {path!r}, and cannot be copied; use weight_norm of "
            "torch.nn.utils.parametrizations, or compute it in forward"
        )
    return ""


def _computed_names(module: torch.nn.Module) -> Iterator[str]:
    """Yield the names of attributes that were computed of trained tensors."""
    for path, one in module.named_modules():
        values: dict[str, Any] = vars(one)
        for name, value in values.items():
            if not getattr(value, "is_leaf", True):
                yield f"{path}.{name}".lstrip(".")
