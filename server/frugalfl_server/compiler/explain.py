"""What to say of a model that cannot be compiled: the operator, its line, what to write instead."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from frugalfl.blocks import Shape
from frugalfl.errors import ExportError, FrugalFLError, MissingExtraError
from frugalfl_server.export.record_calls import TracedCall, line_of, trace

if TYPE_CHECKING:
    import torch

#: By a part of the operator's name, or of the words of an error that names none.
_ADVICE = {
    "fft": "filters that are learnt: nn.Conv1d",
    "sort": "a maximum over an axis: x.amax(1)",
    "topk": "a maximum over an axis: x.amax(1)",
    "rand": "nn.Dropout, whose masks the device draws",
    "bernoulli": "nn.Dropout, whose masks the device draws",
    "local_scalar": "torch.where in place of a Python if on a tensor's value, x.amax() of x.item()",
    "item": "torch.where in place of a Python if on a tensor's value, x.amax() of x.item()",
    "lstm": "nn.Conv1d over time",
    "gru": "nn.Conv1d over time",
    "upsample": "x.repeat_interleave(2, 2).repeat_interleave(2, 3)",
    "embedding": "rows of zeros and a one, made in client_data, and nn.Linear",
    "index_put": "slices, x[:, 2:4], joined by torch.cat",
    "tensors used as indices": "torch.where in place of a condition as an index",
    "new_empty_strided": "torch.cat of the parts in place of writing to a slice",
    "scatter": "torch.cat of the parts in place of writing to a slice",
    "complex": "two real tensors: x.square() + y.square() in place of abs()",
    "float64": "float32 throughout",
    "setup_context": "an autograd.Function of forward(x) and setup_context(ctx, inputs, output)",
    "data pointer": "PyTorch's functions in place of numpy's",
}
_DEFAULT = "operators that docs/training-programs.md lists"
#: Words in our own messages, and the function whose line they belong to.
_FUNCTIONS = {
    "transposed convolution": "conv_transpose",
    "3-D convolution": "conv3d",
    "adaptive average pooling": "adaptive_avg_pool",
    "max pooling": "max_pool",
    "pooling": "avg_pool",
    "alpha_dropout": "alpha_dropout",
    "dropout3d": "dropout3d",
}

#: Where an operator has another name than the function that the author calls.
_CALLED = {
    "local_scalar_dense": ("bool", "item", "float", "int"),
    "upsample": ("interpolate",),
    "index_put": ("getitem", "gather", "index_select"),
    "new_empty_strided": ("setitem",),
    "complex": ("complex", "fft", "stft", "view_as_complex"),
    "float64": ("double", "to", "type"),
}
#: What the converter takes, and then fails without naming.
_REFUSED = (
    "sort", "topk", "_fft", "nonzero", "embedding", "index_put", "new_empty_strided", "scatter",
)  # fmt: skip


def check_operators(graph: torch.nn.Module) -> None:
    """Refuse operators that the converter takes, and then fails at without naming them.

    Raises:
        RuntimeError: The first of them, as the converter names others.
    """
    import torch

    inside: Any = graph.traced
    for node in inside.graph.nodes:
        name = str(node.target).removeprefix("aten.")
        if node.op == "call_function" and name.startswith(_REFUSED):
            raise RuntimeError(f"Lowering not found: aten.{name}")
        if getattr(node.meta.get("val"), "dtype", None) == torch.float64:
            raise RuntimeError("Lowering not found: aten.float64")


@contextmanager
def explained(module: torch.nn.Module, batch: int, input_shape: Shape) -> Iterator[None]:
    """Turn what tracing or converting raises into one line that names the author's own.

    Args:
        module: The author's.
        batch: Rows of a batch.
        input_shape: Of a row.

    Raises:
        ExportError: Whatever the ``with`` block raised.
        MissingExtraError: A package that the block imports is not installed.
    """
    try:
        yield
    except FrugalFLError as error:
        key = next((key for key in _FUNCTIONS if key in str(error)), None)
        line = _line((_FUNCTIONS[key],), module, batch, input_shape) if key else None
        if line is None:
            raise
        raise type(error)(f"{error} ({line})") from error
    except ImportError as error:
        raise MissingExtraError("Compiling a training program", "server") from error
    except Exception as error:
        raise _refusal(error, module, batch, input_shape) from error


def _refusal(
    error: Exception, module: torch.nn.Module, batch: int, input_shape: Shape
) -> ExportError:
    what = f"the training of {type(module).__name__} cannot be compiled"
    text = str(error).strip().partition("\n")[0]
    found = re.search(r"aten(?:\.|::)_*(\w+)|(complex)", str(error))
    if not found:
        line = line_of(error)
        advice = _advice(text)
        return ExportError(
            f"{what}: {type(error).__name__}: {text}{f' ({line})' if line else ''}; "
            f"{f'use {advice}' if advice else 'docs/training-programs.md lists what can be'}"
        )
    operator = found.group(1) or found.group(2)
    word = operator.removesuffix("_backward")
    words = next((called for key, called in _CALLED.items() if word.startswith(key)), (word,))
    line = _line(words, module, batch, input_shape)
    return ExportError(
        f"{what}: LiteRT has nothing for {operator}{f' ({line})' if line else ''} or its gradient; "
        f"use {_advice(operator) or _DEFAULT}"
    )


def _advice(text: str) -> str | None:
    return next((advice for key, advice in _ADVICE.items() if key in text), None)


def _line(
    words: tuple[str, ...], module: torch.nn.Module, batch: int, input_shape: Shape
) -> str | None:
    """Return where the author's model calls the first of these functions that it calls."""
    import torch

    evaluating = copy.deepcopy(module).cpu().float().eval()
    calls = trace(evaluating, torch.rand(batch, *input_shape)).calls
    named = [(call.name.strip("_"), call) for call in calls]
    alike = (call for word in words for name, call in named if name and _alike(name, word))
    return next(filter(None, map(_place, alike)), None)


def _alike(called: str, word: str) -> bool:
    return called.startswith(word) or word.startswith(called)


def _place(call: TracedCall) -> str | None:
    if call.source is not None:
        return call.source
    return f"{type(call.module).__name__} at {call.path}" if call.path else None
