"""Finds out whether a module is a chain of layers that are batched by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.fx import Graph, Node, Tracer
from torch.nn import functional as f

from frugalfl_sim.engine.cohort.chain.chain import Chain
from frugalfl_sim.engine.cohort.chain.convolution import Convolution
from frugalfl_sim.engine.cohort.chain.layers import (
    ByAutograd,
    Flatten,
    Layer,
    Linear,
    Relu,
    Shape,
    Unflatten,
)

_ENTRYWISE = (
    nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh,
    nn.LeakyReLU, nn.LogSigmoid, nn.Mish, nn.ReLU6, nn.Sigmoid, nn.SiLU, nn.Softplus, nn.Softshrink,
    nn.Softsign, nn.Tanh, nn.Tanhshrink,
)  # fmt: skip
_ENTRYWISE_CALLS: tuple[Any, ...] = (
    torch.tanh, torch.sigmoid, f.tanh, f.sigmoid, f.elu, f.gelu, f.hardsigmoid, f.hardswish,
    f.hardtanh, f.leaky_relu, f.mish, f.relu6, f.silu, f.softplus, f.softsign,
)  # fmt: skip
_ENTRYWISE_METHODS = ("tanh", "sigmoid")
#: Pools, and how many places they are wide.
_PLACED: dict[Any, int] = {
    nn.MaxPool1d: 1, nn.AvgPool1d: 1, nn.AdaptiveAvgPool1d: 1,
    nn.MaxPool2d: 2, nn.AvgPool2d: 2, nn.AdaptiveAvgPool2d: 2,
}  # fmt: skip
# max_pool and its kin are wrapped for tracing; a trace names the wrapper.
_PLACED_CALLS: dict[Any, int] = {
    f.max_pool1d: 1, f.avg_pool1d: 1, f.adaptive_avg_pool1d: 1,
    f.max_pool2d: 2, f.avg_pool2d: 2, f.adaptive_avg_pool2d: 2,
}  # fmt: skip
_RELUS: tuple[Any, ...] = (torch.relu, f.relu)


def chain_of(module: nn.Module, row: Shape) -> Chain | None:
    """Return a module's chain; ``None``: it is none, or has a layer that is not known here.

    Args:
        module: In training mode, in the shapes that are to be trained.
        row: Shape of one row of inputs.
    """
    if any(one._forward_hooks or one._forward_pre_hooks for one in module.modules()):
        return None
    try:
        layers = _layers(module, Tracer().trace(module), row)
    except Exception:  # a forward of the user's own may raise anything when it is traced
        return None
    names = [name for layer in layers or () for name in layer.names]
    if layers is None or sorted(names) != sorted(dict(module.named_parameters())):
        return None
    return Chain(layers, row)


def _layers(module: nn.Module, graph: Graph, row: Shape) -> list[Layer] | None:
    """Return the layers, if each takes what the one before it returns, and features come out."""
    made: list[Layer] = []
    last, shape = None, row
    for node in graph.nodes:
        if node.op == "placeholder" and last is None:
            last = node
            continue
        if last is None or node.all_input_nodes != [last] or node.args[0] is not last:
            return None
        last = node
        if node.op == "output":
            break
        in_place = bool(made) and made[-1].fresh
        layer = _layer(node, dict(module.named_modules()), shape, in_place)
        if layer is None:
            return None
        if isinstance(layer, Flatten) and len(shape) == 1:
            continue
        shape = layer.shape_after(shape)
        pads = made[-1].pads if made and isinstance(made[-1], ByAutograd) else None
        if isinstance(layer, Convolution) and pads:
            made[-1] = layer.padded_by(pads)
        else:
            made.append(layer)
    return made if len(shape) == 1 else None


def _layer(
    node: Node, modules: Mapping[str, nn.Module], shape: Shape, in_place: bool
) -> Layer | None:
    target: Any = node.target
    if node.op == "call_module":
        return _of_module(target, modules[target], in_place)
    rest = partial(_call, target, node.args[1:], node.kwargs)
    if node.op == "call_function":
        if target in _RELUS:
            return Relu(in_place)
        if target is torch.flatten and node.args[1:] == (1,) and not node.kwargs:
            return Flatten()
        if target in _ENTRYWISE_CALLS:
            return ByAutograd(rest)
        return ByAutograd(rest, _PLACED_CALLS[target]) if target in _PLACED_CALLS else None
    if node.op == "call_method" and target == "relu":
        return Relu(in_place)
    if node.op == "call_method" and target == "flatten" and node.args[1:] == (1,):
        return None if node.kwargs else Flatten()
    if node.op == "call_method" and target in _ENTRYWISE_METHODS:
        return ByAutograd(getattr(torch, target))
    return None


def _call(function: Callable[..., Any], rest: tuple[Any, ...], more: dict[str, Any], x: Any) -> Any:
    return function(x, *rest, **more)


def _of_module(name: str, module: nn.Module, in_place: bool) -> Layer | None:
    kind = type(module)  # a subclass may do anything
    if isinstance(module, nn.Linear) and kind is nn.Linear:
        return Linear(*_names(name, module), tuple(module.weight.shape))
    if isinstance(module, nn.Conv1d | nn.Conv2d) and kind in (nn.Conv1d, nn.Conv2d):
        return _convolution(name, module)
    if kind is nn.ReLU:
        return Relu(in_place)
    if isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) == (1, -1):
        return Flatten()
    if isinstance(module, nn.Unflatten) and module.dim == 1:
        return Unflatten(tuple(module.unflattened_size))
    if kind in _ENTRYWISE:
        return ByAutograd(_out_of_place(module))
    if isinstance(module, nn.ZeroPad1d | nn.ZeroPad2d):
        return _pad(module)
    if kind in _PLACED and not getattr(module, "return_indices", False):
        return ByAutograd(module, _PLACED[kind])
    return None


def _out_of_place(module: nn.Module) -> nn.Module:
    """Return a layer that leaves its input as it is, which autograd asks of leaves."""
    if not getattr(module, "inplace", False):
        return module
    copied = nn.Module.__new__(type(module))
    copied.__dict__.update(module.__dict__)
    copied.__dict__["inplace"] = False
    return copied


def _pad(module: nn.ZeroPad1d | nn.ZeroPad2d) -> Layer:
    """Return the layer; PyTorch names its pads from the last place to the first."""
    given = tuple(module.padding)
    before, behind = given[-2::-2], given[::-2]
    cuts = min(given) < 0
    return ByAutograd(module, len(before), None if cuts else (before, behind))


def _convolution(name: str, module: nn.Conv1d | nn.Conv2d) -> Layer | None:
    if module.groups > 1 or module.padding_mode != "zeros" or isinstance(module.padding, str):
        return None
    pads = tuple(module.padding)
    return Convolution(
        *_names(name, module), tuple(module.weight.shape), module.stride, module.dilation,
        (pads, pads),
    )  # fmt: skip


def _names(name: str, module: nn.Linear | nn.Conv1d | nn.Conv2d) -> tuple[str, str]:
    """Return the names of weight and bias, the latter empty if there is none."""
    before = f"{name}." if name else ""
    return f"{before}weight", f"{before}bias" if module.bias is not None else ""
