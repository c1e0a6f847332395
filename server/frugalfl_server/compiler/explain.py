"""What to say of a model that cannot be compiled: the operator, its line, what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from frugalfl.errors import ExportError, FrugalFLError, MissingExtraError
from frugalfl_server.compiler.plan import Plan
from frugalfl_server.export.trace import Call, trace

if TYPE_CHECKING:
    import torch

#: By a part of the operator's name.
_ADVICE = {
    "fft": "filters that are learnt: nn.Conv1d",
    "sort": "a maximum over an axis: x.amax(1)",
    "topk": "a maximum over an axis: x.amax(1)",
    "rand": "nn.Dropout, whose masks the device draws",
    "bernoulli": "nn.Dropout, whose masks the device draws",
    "local_scalar": "torch.where in place of a Python if on a tensor's value",
    "item": "torch.where in place of a Python if on a tensor's value",
    "lstm": "nn.Conv1d over time",
    "gru": "nn.Conv1d over time",
    "upsample": "x.repeat_interleave(2, 2).repeat_interleave(2, 3)",
}
_DEFAULT = "operators that docs/training-programs.md lists"
#: Words in our own messages, and the function whose line they belong to.
_FUNCTIONS = {
    "transposed convolution": "conv_transpose",
    "adaptive average pooling": "adaptive_avg_pool",
    "max pooling": "max_pool",
    "pooling": "avg_pool",
    "alpha_dropout": "alpha_dropout",
    "dropout3d": "dropout3d",
}

#: Where an operator has another name than the function that the author calls.
_CALLED = {"local_scalar_dense": "bool", "upsample": "interpolate"}
#: What the converter takes, and then fails without naming.
_REFUSED = ("sort", "topk", "_fft", "nonzero")


def check_operators(graph: torch.nn.Module) -> None:
    """Refuse operators that the converter takes, and then fails at without naming them.

    Raises:
        RuntimeError: The first of them, as the converter names others.
    """
    inside: Any = graph.traced
    for node in inside.graph.nodes:
        name = str(node.target).removeprefix("aten.")
        if node.op == "call_function" and name.startswith(_REFUSED):
            raise RuntimeError(f"Lowering not found: aten.{name}")


@contextmanager
def explained(plan: Plan) -> Iterator[None]:
    """Turn what tracing or converting raises into one line that names the author's own.

    Raises:
        ExportError: Whatever the ``with`` block raised.
        MissingExtraError: A package that the block imports is not installed.
    """
    try:
        yield
    except FrugalFLError as error:
        key = next((key for key in _FUNCTIONS if key in str(error)), None)
        line = _line(_FUNCTIONS[key], plan) if key else None
        if line is None:
            raise
        raise type(error)(f"{error} ({line})") from error
    except ImportError as error:
        raise MissingExtraError("Compiling a training program", "server") from error
    except Exception as error:
        raise _refusal(error, plan) from error


def _refusal(error: Exception, plan: Plan) -> ExportError:
    model = type(plan.module).__name__
    reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    found = re.search(r"aten(?:\.|::)_*(\w+)", str(error))
    if not found:
        return ExportError(f"the training of {model} cannot be compiled: {reason}; use {_DEFAULT}")
    operator = found.group(1)
    line = _line(operator, plan)
    advice = next((text for key, text in _ADVICE.items() if key in operator), _DEFAULT)
    return ExportError(
        f"the training of {model} cannot be compiled: LiteRT has nothing for {operator}"
        f"{f' ({line})' if line else ''} or its gradient; use {advice}"
    )


def _line(operator: str, plan: Plan) -> str | None:
    """Return where the author's model calls an operator, or the one it is the gradient of."""
    import torch

    word = operator.removesuffix("_backward")
    word = next((called for key, called in _CALLED.items() if word.startswith(key)), word)
    example = torch.rand(plan.batch, *plan.input_shape)
    calls = [call for call in trace(plan.evaluating, example).calls if call.name.strip("_")]
    alike = (call for call in calls if _alike(call.name.strip("_"), word))
    return next(filter(None, map(_place, alike)), None)


def _alike(called: str, word: str) -> bool:
    return called.startswith(word) or word.startswith(called)


def _place(call: Call) -> str | None:
    if call.source is not None:
        return call.source
    return f"{type(call.module).__name__} at {call.path}" if call.path else None
