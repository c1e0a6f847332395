"""Ranges of a model's activations on some rows: what the scales of an int8 model are made of.

Every floating-point tensor that an operator makes is recorded as it is made. Its place in the order
of execution names it, on every machine that runs the same model, so that nothing but numbers has to
travel. The order is that of one row at a time, which is also how the exported model runs.

PyTorch is imported where it is used: a device without it has the ranges from its training program.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from frugalfl.blocks import FloatArray

if TYPE_CHECKING:
    import torch

#: More rows than this are thinned out evenly; about 200 settle the ranges of a small model.
MOST_ROWS = 512


def row_ranges(module: torch.nn.Module, x: FloatArray) -> FloatArray:
    """Run rows one by one, and record the smallest and largest value of every tensor.

    Args:
        module: Put into evaluation mode: no dropout, running statistics as they are.
        x: Rows, float32, shape ``(rows, *row shape)``; left as they are.

    Returns:
        Shape ``(rows, tensors, 2)``, float32: minimum and maximum. The input is tensor 0.
    """
    import torch

    module.eval()
    recorded = []
    for start in range(len(x)):
        recorder = recorder_class()()
        row = torch.tensor(x[start : start + 1])  # a copy: the first layer may work in place
        recorder.note(row)
        with torch.no_grad(), single_operators(module), recorder:
            module(row)
        recorded.append(recorder.ranges)
    return np.array(recorded, np.float32)


def ranges_of(module: torch.nn.Module, x: FloatArray, percentile: float = 100.0) -> FloatArray:
    """Return the range of every tensor over some rows.

    Args:
        module: As for :func:`row_ranges`.
        x: Rows, at least one; at most :data:`MOST_ROWS` of them are used.
        percentile: Which row's minimum and maximum count: 100 for the smallest and largest of
            all; 99 leaves out the one percent of rows that reach farthest, of each tensor and at
            each end.

    Returns:
        Shape ``(tensors, 2)``, float32. Every range holds 0, as the quantizer's do.
    """
    return over_rows(row_ranges(module, thin_rows(x)), percentile)


def thin_rows(x: FloatArray) -> FloatArray:
    """Return at most :data:`MOST_ROWS` of the rows, evenly chosen."""
    if len(x) <= MOST_ROWS:
        return x
    return x[np.linspace(0, len(x) - 1, MOST_ROWS).astype(np.int64)]


def over_rows(rows: FloatArray, percentile: float) -> FloatArray:
    """Return the range of every tensor, of its ranges on single rows.

    Args:
        rows: Shape ``(rows, tensors, 2)``.
        percentile: As for :func:`ranges_of`.
    """
    low = np.percentile(rows[..., 0], 100 - percentile, axis=0)
    high = np.percentile(rows[..., 1], percentile, axis=0)
    return with_zero(np.stack([low, high], axis=-1).astype(np.float32))


def with_zero(ranges: FloatArray) -> FloatArray:
    """Widen ranges, shape ``(..., 2)``, so that each holds 0: integers have a step for it."""
    return np.stack([np.minimum(ranges[..., 0], 0), np.maximum(ranges[..., 1], 0)], axis=-1)


@contextmanager
def single_operators(module: torch.nn.Module) -> Iterator[None]:
    """Keep PyTorch from computing attention and recurrent layers in one piece each.

    The exported model computes them operator by operator, and wants the ranges in between; a
    training program does too (:mod:`frugalfl_server.compiler`), and its list is to be this one.

    Args:
        module: What will run; switches that nothing in it needs are left alone.
    """
    import torch
    from torch import backends
    from torch.nn.attention import SDPBackend, sdpa_kernel

    mha: Any = backends.mha
    mkldnn: Any = backends.mkldnn  # its flags are properties, which type checkers do not see
    recurrent = any(isinstance(one, torch.nn.RNNBase) for one in module.modules())
    before = mha.get_fastpath_enabled(), mkldnn.enabled
    mha.set_fastpath_enabled(False)
    mkldnn.enabled = before[1] and not recurrent
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        mha.set_fastpath_enabled(before[0])
        mkldnn.enabled = before[1]


@cache
def recorder_class() -> Any:
    """Return the class of recorders; its base is PyTorch's, which is not imported before.

    A recorder is a mode in which operators run; ``note`` gets each tensor that counts.
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
        """Sees every operator after PyTorch has broken the model down to its basic ones."""

        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self.ranges: list[tuple[float, float]] = []

        @classmethod
        def _should_skip_dynamo(cls) -> bool:
            """Do not load PyTorch's compiler, a second of a device's time, to be hidden from it."""
            return False

        def note(self, tensor: torch.Tensor) -> None:
            low, high = torch.aminmax(tensor)
            self.ranges.append((float(low), float(high)))

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            for made in result if isinstance(result, tuple | list) else (result,):
                if not isinstance(made, torch.Tensor) or not made.is_floating_point():
                    continue
                if made.numel() and not _is_same_values(func, args, made):
                    self.note(made)
            return result

    def _is_same_values(func: Any, args: Any, made: torch.Tensor) -> bool:
        """Say whether an operator only looks at the same values in another shape or order."""
        return bool(func.is_view) and args[0].numel() == made.numel()

    return Recorder
