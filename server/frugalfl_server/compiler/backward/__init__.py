"""What PyTorch's operators, and their gradients, become in a training program.

Each is written with operators that LiteRT has as builtin ones, and TFLite-Micro too where that is
possible; none makes a tensor of more than 5 axes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from frugalfl_server.compiler.backward import activations, convolution, pooling, steps

#: Operators of PyTorch whose own decompositions are right as they are.
_NAMES = """
addcdiv addcmul binary_cross_entropy binary_cross_entropy_backward
binary_cross_entropy_with_logits dot elu_backward gelu_backward huber_loss huber_loss_backward
log_sigmoid_backward log_sigmoid_forward mse_loss mse_loss_backward native_layer_norm
native_layer_norm_backward rsub select_backward slice_backward smooth_l1_loss
smooth_l1_loss_backward softplus_backward unsafe_split xlogy
"""


def decompositions() -> dict[Any, Callable[..., Any]]:
    """Return the table for ``make_fx``."""
    import torch
    from torch._decomp import get_decompositions

    aten = torch.ops.aten
    table: dict[Any, Callable[..., Any]] = dict(
        get_decompositions([getattr(aten, name) for name in _NAMES.split()])
    )
    own: dict[Any, Callable[..., Any]] = {
        aten.convolution: convolution.convolution,
        aten.convolution_backward: convolution.convolution_backward,
        aten.avg_pool2d_backward: pooling.avg_pool2d_backward,
        aten._adaptive_avg_pool2d: pooling.adaptive_avg_pool2d,
        aten._adaptive_avg_pool2d_backward: pooling.adaptive_avg_pool2d_backward,
        aten.max_pool2d_with_indices_backward: pooling.max_pool2d_with_indices_backward,
        aten.threshold_backward: activations.threshold_backward,
        aten.hardtanh_backward: activations.hardtanh_backward,
        aten.hardsigmoid_backward: activations.hardsigmoid_backward,
        aten.hardswish_backward: activations.hardswish_backward,
        aten.leaky_relu_backward: activations.leaky_relu_backward,
        aten.sigmoid_backward: activations.sigmoid_backward,
        aten.tanh_backward: activations.tanh_backward,
        aten._log_softmax_backward_data: activations.log_softmax_backward,
        aten._softmax_backward_data: activations.softmax_backward,
        aten.silu_backward: activations.silu_backward,
        aten.hardtanh: activations.hardtanh,
        aten.upsample_nearest2d_backward: pooling.upsample_nearest2d_backward,
        aten.avg_pool2d: pooling.avg_pool2d,
        aten.gt: steps.greater,
        aten.ge: steps.greater_equal,
        aten.lt: steps.less,
        aten.le: steps.less_equal,
        aten.eq: steps.equal,
        aten.ne: steps.not_equal,
        aten.logical_and: steps.logical_and,
        aten.logical_and_: steps.logical_and,
        aten.logical_or: steps.logical_or,
        aten.logical_not: steps.logical_not,
        aten.where: steps.where,
        aten.sign: steps.sign,
        aten.sgn: steps.sign,
    }
    table[aten.empty_like.default] = steps.empty_like
    table[aten.pow.Tensor_Scalar] = steps.power
    table[aten.clamp.default] = activations.clamp
    for packet, written in own.items():
        for overload in packet.overloads():
            if not overload.endswith("out") and overload not in ("str", "bool", "int", "float"):
                table[getattr(packet, overload)] = written
    return table
