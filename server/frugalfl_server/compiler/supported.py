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

_ADVICE = {
    "fft": "filters that are learnt: nn.Conv1d",
    "sort": "a maximum over an axis: x.amax(1)",
    "topk": "a maximum over an axis: x.amax(1)",
    "rand": "nn.Dropout, whose masks the device draws",
    "bernoulli": "nn.Dropout, whose masks the device draws",
    "erf": "nn.Hardswish or nn.ReLU",
    "gelu": "nn.Hardswish or nn.ReLU",
    "convolution": "nn.Conv1d or nn.Conv2d",
    "conv3d": "nn.Conv2d with the third axis among the channels",
    "lstm": "nn.Conv1d over time",
    "gru": "nn.Conv1d over time",
}
_DEFAULT = "operators of docs/training-programs.md"


def check_supported(traced: torch.nn.Module, plan: Plan) -> None:
    """Refuse a traced signature with an operator that the converter does not know.

    Raises:
        ExportError: The first such operator, by its name and the author's line.
        MissingExtraError: litert-torch is not installed.
    """
    try:
        from litert_torch import fx_infra
        from litert_torch.backend import lowerings
    except ImportError as error:
        raise MissingExtraError("Compiling a training program", "server") from error
    import torch

    known = fx_infra.decomp.pre_convert_decomp()
    graph: Any = traced.graph
    for node in graph.graph.nodes:
        if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload):
            continue
        if node.target not in known and lowerings.lookup(node.target) is None:
            raise _refusal(node.target, plan, "has no counterpart in LiteRT")


@contextmanager
def named_operator(plan: Plan) -> Iterator[None]:
    """Turn what tracing raises into one line that names the author's own.

    Raises:
        ExportError: Whatever the ``with`` block raised.
    """
    try:
        yield
    except FrugalFLError as error:
        raise _with_line(error, plan) from error
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        found = re.search(r"aten[.:]+(\w+)", str(error))
        line = _line(found.group(1), plan) if found else None
        raise ExportError(
            f"the training of {type(plan.module).__name__} cannot be traced: "
            f"{type(error).__name__}: {reason}{f' ({line})' if line else ''}; "
            f"write it with {_DEFAULT}"
        ) from error


def _with_line(error: FrugalFLError, plan: Plan) -> FrugalFLError:
    word = re.search(r"pool|convolution|dropout|batch norm|cross_entropy", str(error))
    line = _line({"convolution": "conv"}.get(word.group(), word.group()), plan) if word else None
    return type(error)(f"{error} ({line})") if line else error


def _refusal(target: Any, plan: Plan, why: str) -> ExportError:
    name = str(target.overloadpacket).removeprefix("aten.")
    line = _line(name, plan)
    advice = next((text for key, text in _ADVICE.items() if key in name), _DEFAULT)
    return ExportError(
        f"{name}{f' ({line})' if line else ''} {why}, in the model or in its gradient; "
        f"write {advice}"
    )


def _line(operator: str, plan: Plan) -> str | None:
    """Return where the author's model calls an operator, or the one it is the gradient of."""
    import torch

    word = operator.removesuffix("_backward").strip("_")
    example = torch.rand(plan.batch, *plan.input_shape)
    for call in trace(plan.evaluating, example).calls:
        if _alike(call.name.strip("_"), word):
            return _place(call)
    return None


def _alike(called: str, word: str) -> bool:
    return bool(called) and (called.startswith(word) or word.startswith(called))


def _place(call: Call) -> str | None:
    if call.source is not None:
        return call.source
    return f"{call.path}: {type(call.module).__name__}" if call.path else None
