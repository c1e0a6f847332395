"""A signature to a graph of PyTorch's basic operators, gradients and optimiser included."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from frugalfl_server.compiler.backward import decompositions

if TYPE_CHECKING:
    import torch

    from frugalfl_server.compiler.signatures import Tensors


class Signature(Protocol):
    """A module whose ``forward`` takes the inputs by name and returns the outputs by name.

    Attributes:
        traced: The graph, from inputs in their order to outputs in theirs.
        returned: Names of the outputs.
    """

    traced: Any
    returned: tuple[str, ...]


def traced(function: Callable[[Tensors], Tensors], given: Tensors) -> Any:
    """Trace a function of named tensors.

    Args:
        function: Pure.
        given: Example inputs; their order becomes the program's.

    Returns:
        A module, which is a :class:`Signature`.
    """
    import torch
    from torch.fx.experimental.proxy_tensor import make_fx
    from torch.nn.attention import SDPBackend, sdpa_kernel

    names = list(given)
    returned: list[str] = []

    def flat(*tensors: torch.Tensor) -> list[torch.Tensor]:
        outputs = function(dict(zip(names, tensors, strict=True)))
        returned[:] = outputs
        return list(outputs.values())

    # Of the other ways of attention and of recurrent layers the gradients are single kernels.
    with sdpa_kernel(SDPBackend.MATH), _without_onednn():
        graph = make_fx(flat, decomposition_table=decompositions())(*given.values())
    graph.graph.eliminate_dead_code()
    _mark_kernels(graph)
    graph.recompile()
    _keep_constants(graph)

    class Traced(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.traced = graph  # as `graph` it would hide the exporter's own
            self.returned = tuple(returned)

        def forward(self, **inputs: torch.Tensor) -> dict[str, Any]:
            outputs = self.traced(*(inputs[name] for name in names))
            return dict(zip(returned, outputs, strict=True))

    return Traced().eval()


@contextmanager
def _without_onednn() -> Iterator[None]:
    """Keep an LSTM from becoming one kernel of oneDNN's."""
    from torch import backends

    mkldnn: Any = backends.mkldnn  # its flags are properties, which type checkers do not see
    before = mkldnn.enabled
    mkldnn.enabled = False
    try:
        yield
    finally:
        mkldnn.enabled = before


def _keep_constants(graph: torch.nn.Module) -> None:
    """Make buffers of tensors that the model or the loss holds outside of its parameters."""
    import torch

    for name, value in list(vars(graph).items()):
        if isinstance(value, torch.Tensor):
            delattr(graph, name)
            graph.register_buffer(name, value.detach())
    for name, value in list(graph.named_parameters(recurse=False)):
        delattr(graph, name)
        graph.register_buffer(name, value.detach())


def _mark_kernels(graph: Any) -> None:
    """Reshape computed kernels to three axes and back: the converter drops it again.

    It turns whatever it finds on four axes to channels last, as images; a kernel that was so
    turned fits its convolution no more.
    """
    import torch

    aten = torch.ops.aten
    for node in graph.graph.find_nodes(op="call_function", target=aten.convolution.default):
        kernel = node.args[1]
        if kernel.op == "placeholder":
            continue
        shape = list(kernel.meta["val"].shape)
        with graph.graph.inserting_before(node):
            flat = graph.graph.call_function(aten.reshape.default, (kernel, [-1, *shape[2:]]))
            back = graph.graph.call_function(aten.reshape.default, (flat, shape))
        node.update_arg(1, back)
