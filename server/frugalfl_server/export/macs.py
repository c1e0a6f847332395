"""What a model costs before it is compiled: parameters to store, multiplications to do."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from frugalfl_server.export import flatbuffer

if TYPE_CHECKING:
    import torch


def count_parameters(module: torch.nn.Module) -> int:
    """Return the number of trainable numbers; running statistics do not count."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_macs(module: torch.nn.Module, example_input: torch.Tensor) -> int:
    """Return the multiply-accumulate operations of one forward pass.

    Matrix products and convolutions count, as PyTorch's own counter sees them dispatched;
    additions, activations and pooling do not.

    Args:
        module: Left as it was.
        example_input: Shape ``(1, *row shape)`` for the cost of one row.
    """
    import torch

    counter = _counter_class()()
    with torch.no_grad(), _evaluating(module), counter:
        module(example_input)
    # PyTorch's table takes a multiply-accumulate for two operations.
    total: int = counter.operations // 2
    return total


@cache
def _counter_class() -> Any:
    """Return the class of counters; its base is PyTorch's, which is not imported before.

    It is PyTorch's ``FlopCounterMode`` without its sums by module: that loads PyTorch's compiler,
    two seconds of work, to be hidden from it.
    """
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import flop_registry

    class Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
        """Counts the operations that PyTorch's own table knows of."""

        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self.operations = 0

        @classmethod
        def _should_skip_dynamo(cls) -> bool:
            return False

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            count = flop_registry.get(func._overloadpacket)
            if count is None:
                with self:  # what it is made of may be known
                    parts = func.decompose(*args, **(kwargs or {}))
                if parts is not NotImplemented:
                    return parts
            result = func(*args, **(kwargs or {}))
            if count is not None:
                self.operations += count(*args, **(kwargs or {}), out_val=result)
            return result

    return Counter


@contextlib.contextmanager
def _evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode and back; not every module can be copied."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


def count_file_macs(model: bytes) -> int:
    """Return the multiply-accumulate operations of one inference of a .tflite file.

    Convolutions and matrix products count: for each value that they write, or that a transposed
    convolution reads, the weights that it meets.

    Raises:
        ExportError: The bytes are not a .tflite file.
    """
    tree = flatbuffer.read(model)
    return sum(
        _macs(flatbuffer.operator_name(tree, operator), operator, graph.tensors)
        for graph in tree.subgraphs
        for operator in graph.operators
    )


def _macs(name: str, operator: Any, tensors: Any) -> int:
    shapes: list[list[int]]
    shapes = [list(tensors[index].shape) for index in operator.inputs if index >= 0]
    written: int = math.prod(tensors[operator.outputs[0]].shape)
    match name:
        case "CONV_2D" | "FULLY_CONNECTED":  # weights (outputs, ..., inputs)
            return written * math.prod(shapes[1][1:])
        case "DEPTHWISE_CONV_2D":  # weights (1, height, width, channels)
            return written * math.prod(shapes[1][1:3])
        case "TRANSPOSE_CONV":  # output shape, weights (outputs, height, width, inputs), rows
            return math.prod(shapes[2]) * math.prod(shapes[1][:3])
        case "BATCH_MATMUL":  # (..., rows, inner) times (..., inner, columns)
            inner = shapes[0][-2 if operator.builtinOptions.adjX else -1]
            return written * inner
        case _:
            return 0
