"""Where in a model something stands that a rule speaks about: one small function a rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from frugalfl_server.export.cut_transposed import is_native
from frugalfl_server.export.lint.subject import Finding, Subject
from frugalfl_server.export.record_calls import TracedCall

Finder = Callable[[Subject], Iterator[Finding]]

#: Inputs that one CONCATENATION of TFLite-Micro takes.
MOST_INPUTS = 10
RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")
#: Bounds that become a fused activation; ``(0, 1)`` becomes one that TFLite-Micro lacks.
FUSED_BOUNDS = frozenset({(0, None), (-1, 1), (0, 6), (0, 1)})
#: Functions between a squeeze-and-excite's dense layer and the product.
GATES = frozenset({"sigmoid", "hardsigmoid", "relu", "softmax"})
WEIGHTED = ("conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d", "linear", "matmul")


def calls(*names: str) -> Finder:
    """Find calls of PyTorch functions by name, in-place versions included."""

    def find(model: Subject) -> Iterator[Finding]:
        return (Finding(call, call.name) for call in model.calls(names) if call.computes)

    return find


def clamps(model: Subject) -> Iterator[Finding]:
    """Find bounds of 0 and 1."""
    return (found for found, bounds in _bounds(model) if bounds == (0, 1))


def odd_clamps(model: Subject) -> Iterator[Finding]:
    """Find bounds that are no activation function of TFLite's."""
    return (found for found, bounds in _bounds(model) if bounds not in FUSED_BOUNDS)


def _bounds(model: Subject) -> Iterator[tuple[Finding, tuple[Any, Any]]]:
    for call in model.calls(("clamp", "clip", "hardtanh")):
        low, high = call.argument(1, "min"), call.argument(2, "max")
        if call.name.startswith("hardtanh"):
            low, high = call.argument(1, "min_val", -1.0), call.argument(2, "max_val", 1.0)
        yield Finding(call, f"{call.name}({low}, {high})"), (low, high)


def recurrences(short: bool) -> Finder:
    """Find recurrent layers over few enough steps to be run, or over too many."""

    def find(model: Subject) -> Iterator[Finding]:
        for call in model.calls(RECURRENT):
            first = getattr(call.module, "batch_first", False)
            steps = call.tensors[0].shape[1 if first else 0]
            if (steps <= MOST_INPUTS) == short:
                yield Finding(call, f"{steps}")

    return find


def selections(model: Subject) -> Iterator[Finding]:
    """Find ``torch.where`` between two tensors."""
    for call in model.calls(("where",)):
        if len({one.shape for one in call.tensors}) == 1 and len(call.tensors) == 3:
            yield Finding(call)


def fractional_powers(model: Subject) -> Iterator[Finding]:
    """Find powers that are no whole number."""
    for call in model.calls(("pow",)):
        exponent = call.argument(1, "exponent")
        if isinstance(exponent, float) and not exponent.is_integer():
            yield Finding(call, f"x ** {exponent}")


def complex_numbers(model: Subject) -> Iterator[Finding]:
    """Find what makes complex numbers: Fourier transforms."""
    for call in model.trace.calls:
        if getattr(call.output, "is_complex", bool)():
            yield Finding(call, call.name)


def uneven_pools(model: Subject) -> Iterator[Finding]:
    """Find adaptive pooling whose windows are not all of one size."""
    for call in model.calls(("adaptive_avg_pool1d", "adaptive_avg_pool2d")):
        ranks = 1 if call.name.endswith("1d") else 2
        before, after = call.tensors[0].shape[-ranks:], call.output.shape[-ranks:]
        if any(old % new for old, new in zip(before, after, strict=True)):
            yield Finding(call, f"{'x'.join(map(str, before))} to {'x'.join(map(str, after))}")


def wide_concatenations(model: Subject) -> Iterator[Finding]:
    """Find more tensors put together at once than TFLite-Micro takes."""
    for call in model.calls(("cat", "concat", "concatenate")):
        if len(call.tensors) > MOST_INPUTS:
            yield Finding(call, f"{len(call.tensors)}")


def decisions(model: Subject) -> Iterator[Finding]:
    """Find Python code that looks at the values of a tensor."""
    asking = ("bool", "item", "tolist", "int", "float", "index", "numpy", "array")
    return (Finding(call, call.name) for call in model.calls(asking) if not call.computes)


def live_dropouts(model: Subject) -> Iterator[Finding]:
    """Find dropout that stays on in evaluation mode."""
    for call in model.calls(("dropout", "dropout1d", "dropout2d", "alpha_dropout")):
        if call.argument(2, "training", True):
            yield Finding(call)


def dilated_transposed(model: Subject) -> Iterator[Finding]:
    """Find transposed convolutions whose kernels have holes."""
    for call in model.calls(("conv_transpose1d", "conv_transpose2d")):
        if any(one != 1 for one in _sizes(call.argument(7, "dilation", 1), 2)):
            yield Finding(call)


def cut_transposed(model: Subject) -> Iterator[Finding]:
    """Find transposed convolutions whose padding is neither of the two that TFLite knows."""
    for call, (kernel, stride, padding, back) in _transposed(model):
        if not is_native(kernel, stride, padding, back):
            yield Finding(call, f"stride {_text(stride)} and padding {_text(padding)}")


def _transposed(model: Subject) -> Iterator[tuple[TracedCall, list[tuple[int, ...]]]]:
    """Yield transposed convolutions: kernel, stride, padding and output padding by axis."""
    for call in model.calls(("conv_transpose1d", "conv_transpose2d")):
        kernel = tuple(call.argument(1, "weight").shape[2:])
        others = (
            call.argument(3, "stride", 1), call.argument(4, "padding", 0),
            call.argument(5, "output_padding", 0),
        )  # fmt: skip
        yield call, [kernel, *(_sizes(one, len(kernel)) for one in others)]


def untracked_norms(model: Subject) -> Iterator[Finding]:
    """Find batch norms that measure the batch when the model is used."""
    for call in model.calls(("batch_norm",)):
        if call.argument(1, "running_mean") is None:
            yield Finding(call)


def fractional_resizes(model: Subject) -> Iterator[Finding]:
    """Find nearest-neighbour resizing to what is no whole multiple."""
    for call in model.calls(("interpolate", "upsample", "upsample_nearest")):
        if call.argument(3, "mode", "nearest").startswith("nearest"):
            before, after = call.tensors[0].shape[2:], call.output.shape[2:]
            if any(new % old for old, new in zip(before, after, strict=True)):
                yield Finding(call, f"{'x'.join(map(str, before))} to {'x'.join(map(str, after))}")


def dilated_pools(model: Subject) -> Iterator[Finding]:
    """Find max pools whose windows have holes."""
    for call in model.calls(("max_pool1d", "max_pool2d", "max_pool1d_with_indices")):
        if any(one != 1 for one in _sizes(call.argument(4, "dilation", 1), 2)):
            yield Finding(call)


def partial_pools(model: Subject) -> Iterator[Finding]:
    """Find average pools that divide by another number than their window's size."""
    for call in model.calls(("avg_pool1d", "avg_pool2d")):
        padded = any(_sizes(call.argument(3, "padding", 0), 2))
        fewer = padded and not call.argument(5, "count_include_pad", True)
        if fewer or call.argument(6, "divisor_override") is not None:
            yield Finding(call)


def circular_pads(model: Subject) -> Iterator[Finding]:
    """Find padding from the other side of the image."""
    for call in model.calls(("pad",)):
        if call.argument(2, "mode", "constant") == "circular":
            yield Finding(call)


def other_outputs(model: Subject) -> Iterator[Finding]:
    """Find a model that returns something else than one tensor."""
    import torch

    output, every = model.trace.output, model.trace.calls
    if every and not isinstance(output, torch.Tensor):
        yield Finding(every[-1], f"a {type(output).__name__}")


def separate_pads(model: Subject) -> Iterator[Finding]:
    """Find padding that is not the one that TFLite calls SAME, and needs an operator."""
    for call in model.calls(("conv1d", "conv2d")):
        kernel = call.argument(1, "weight").shape[2:]
        rest = (call.argument(3, "stride", 1), call.argument(4, "padding", 0))
        if rest[1] != "valid" and _pads(
            call.tensors[0], kernel, *rest, call.argument(5, "dilation", 1)
        ):
            yield Finding(call, f"stride {_text(rest[0])} with padding {_text(rest[1])}")
    for call in model.calls(("max_pool1d", "max_pool2d", "max_pool1d_with_indices")):
        kernel, stride = call.argument(1, "kernel_size"), call.argument(2, "stride")
        padding, dilation = call.argument(3, "padding", 0), call.argument(4, "dilation", 1)
        stride = kernel if stride is None else stride
        if _pads(call.tensors[0], kernel, stride, padding, dilation):
            yield Finding(call, f"stride {_text(stride)} with padding {_text(padding)}")
    for call in model.calls(("avg_pool1d", "avg_pool2d")):
        if any(_sizes(call.argument(3, "padding", 0), 1)):
            yield Finding(call, "an average pool with padding")


def _pads(x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> bool:
    """Say whether some axis is padded, and otherwise than SAME does it."""
    if padding == "same":
        return False
    axes = x.ndim - 2
    every = [_sizes(one, axes) for one in (kernel, stride, padding, dilation)]
    if not any(every[2]):
        return False
    for length, size, step, pad, spread in zip(x.shape[2:], *every, strict=True):
        reach = (math.ceil(length / step) - 1) * step + (size - 1) * spread + 1
        if max(reach - length, 0) != 2 * pad:
            return True
    return False


def _sizes(value: Any, axes: int) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value,) * axes
    return tuple(value) if len(value) == axes else tuple(value) * axes


def _text(value: Any) -> str:
    sizes = {value} if isinstance(value, int) else set(value)
    return str(sizes.pop()) if len(sizes) == 1 else str(tuple(value))


def unfolded_norms(model: Subject) -> Iterator[Finding]:
    """Find batch norms that no layer beside them could take in."""
    import torch

    for call in model.calls(("batch_norm",)):
        left = model.converted.get_submodule(call.path)
        if not isinstance(left, torch.nn.Identity):
            yield Finding(call)


def series(model: Subject) -> Iterator[Finding]:
    """Find 1-D convolutions that could not be made 2-D ones."""
    if model.is_series:
        yield from calls("conv1d", "conv_transpose1d")(model)


def gates(model: Subject) -> Iterator[Finding]:
    """Find a product of an image with one number a channel that a dense layer made."""
    made = {id(call.output): call for call in model.trace.calls}
    for call in model.calls(("mul",)):
        for one in call.tensors:
            origin = made.get(id(one))
            while origin is not None and origin.name.strip("_") in GATES:
                origin = made.get(id(origin.tensors[0]))
            if origin is not None and _adds_axes(origin):
                yield Finding(call)


def _adds_axes(call: TracedCall) -> bool:
    """Say whether a call makes an image of one point out of a row."""
    return (
        call.name.strip("_") in {"view", "reshape", "getitem", "unsqueeze", "unflatten"}
        and call.output.ndim == 4
        and set(call.output.shape[2:]) == {1}
    )


def last(*names: str) -> Finder:
    """Find functions at the very end of the model."""

    def find(model: Subject) -> Iterator[Finding]:
        return (Finding(call, call.name) for call in model.calls(names) if model.is_output(call))

    return find


def turned_inputs(model: Subject) -> Iterator[Finding]:
    """Find a model that puts the axes of its own image into another order."""
    for call in model.calls(("permute", "transpose", "movedim")):
        if model.reads_input(call) and model.trace.input.ndim == 4:
            yield Finding(call, call.name)


def new_axes(model: Subject) -> Iterator[Finding]:
    """Find an axis of length one that the model gives to its own input."""
    for call in model.calls(("unsqueeze", "getitem", "view", "reshape")):
        same = call.computes and call.output.numel() == model.trace.input.numel()
        if model.reads_input(call) and same and call.output.ndim > model.trace.input.ndim:
            yield Finding(call)


def functional_weights(model: Subject) -> Iterator[Finding]:
    """Find weights that are used outside the layer that holds them."""
    for call in model.calls(WEIGHTED):
        library = type(call.module).__module__.startswith("torch.")
        if not library and model.parameters_of(call):
            yield Finding(call, call.name)
