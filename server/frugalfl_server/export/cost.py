"""What a model costs before it is compiled: parameters to store, multiplications to do."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

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
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        copy.deepcopy(module).eval()(example_input)
    # The counter takes a multiply-accumulate for two operations.
    return counter.get_total_flops() // 2
