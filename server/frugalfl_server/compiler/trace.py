"""A signature to a graph of PyTorch's basic operators, gradients and optimiser included."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from frugalfl_server.compiler.backward import decompositions

if TYPE_CHECKING:
    import torch

    from frugalfl_server.compiler.signatures import Tensors


def traced(function: Callable[[Tensors], Tensors], given: Tensors) -> torch.nn.Module:
    """Trace a function of named tensors.

    Args:
        function: Pure.
        given: Example inputs; their order becomes the program's.

    Returns:
        A module whose ``forward`` takes the inputs by name and returns the outputs by name.
    """
    import torch
    from torch.fx.experimental.proxy_tensor import make_fx

    names = list(given)
    returned: list[str] = []

    def flat(*tensors: torch.Tensor) -> list[torch.Tensor]:
        outputs = function(dict(zip(names, tensors, strict=True)))
        returned[:] = outputs
        return list(outputs.values())

    graph = make_fx(flat, decomposition_table=decompositions())(*given.values())
    graph.graph.eliminate_dead_code()
    graph.recompile()

    class Signature(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.graph = graph

        def forward(self, **inputs: torch.Tensor) -> dict[str, Any]:
            outputs = self.graph(*(inputs[name] for name in names))
            return dict(zip(returned, outputs, strict=True))

    return Signature().eval()
