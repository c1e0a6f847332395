"""Ranges of tensors that nobody recorded, from those of the tensors around them.

The converter makes several operators of one: a SiLU becomes a LOGISTIC and a MUL, a group norm a
dozen. What clients recorded bounds what lies in between, from both sides: ``out = a + b`` bounds
``out`` where ``a`` and ``b`` are known, and ``a`` where ``out`` and ``b`` are. Every operator
narrows what it touches until nothing changes, which is interval constraint propagation (HC4 of
Benhamou, Goualard, Granvilliers and Puget, "Revising Hull and Box Consistency", ICLP 1999).
A bound holds every value that the tensor takes where the given ranges do; it may be wider. It
leaves out what makes no difference: if all that reads a tensor is a clamp or a slice, values that
are clamped or cut off may saturate before.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from frugalfl_server.export import flatbuffer

#: Smallest and largest value of a tensor.
Interval = tuple[float, float]
ANY: Interval = (-math.inf, math.inf)
#: A chain of so many operators is walked through in both directions.
SWEEPS = 12

_SAME = "RESHAPE TRANSPOSE SQUEEZE EXPAND_DIMS BROADCAST_TO SPACE_TO_DEPTH DEPTH_TO_SPACE TILE"
#: Operators whose output has the values of the input, in another shape or order.
SAME = frozenset([*_SAME.split(), "REVERSE_V2", "RELU", "RELU6", "RELU_0_TO_1"])
_WITHIN = """
SLICE STRIDED_SLICE SPLIT SPLIT_V UNPACK GATHER GATHER_ND MAX_POOL_2D AVERAGE_POOL_2D MEAN
REDUCE_MAX REDUCE_MIN RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR
"""
#: Operators whose output lies within the input's range: choices and means.
WITHIN = frozenset(_WITHIN.split())
#: Operators that put tensors together, or values around one.
TOGETHER = frozenset({"CONCATENATION", "PACK", "PAD", "PADV2", "MIRROR_PAD"})
#: Operators that drop values, and change none.
CUTS = frozenset({"SLICE", "STRIDED_SLICE"})
#: Operators that are nothing but a clamp.
CLAMPS: Mapping[str, Interval] = {
    "RELU": (0, math.inf), "RELU6": (0, 6), "RELU_0_TO_1": (0, 1),
}  # fmt: skip


@dataclass(frozen=True)
class _Step:
    """One operator, by its tensors' numbers in the file."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    activation: Interval


def bounds(model: bytes, known: Mapping[str, Interval]) -> dict[str, Interval]:
    """Bound every tensor of a float .tflite file.

    Args:
        model: The file.
        known: Ranges of some of its tensors, by name; they stay as they are.

    Returns:
        By name, for every tensor that has finite bounds; those that are known included.
    """
    tree = flatbuffer.read(model)
    graph = tree.subgraphs[0]
    names = [_text(tensor.name) for tensor in graph.tensors]
    found = _Bounds(
        {i: known[name] for i, name in enumerate(names) if name in known} | _constants(tree, graph)
    )
    steps = [_step(tree, operator) for operator in graph.operators]
    read = Counter(one for step in steps for one in step.inputs) + Counter(map(int, graph.outputs))
    for _ in range(SWEEPS):
        before = dict(found.by_tensor)
        for step in steps:
            _forward(step, found)
        for step in reversed(steps):
            _backward(step, found, {one for one in step.inputs if read[one] == 1})
        if found.by_tensor == before:
            break
    return {names[i]: one for i, one in found.by_tensor.items() if math.isfinite(one[0] + one[1])}


class _Bounds:
    """What is known so far; it only ever narrows."""

    def __init__(self, given: Mapping[int, Interval]) -> None:
        self._given = frozenset(given)
        self.by_tensor = dict(given)

    def __getitem__(self, tensor: int) -> Interval:
        return self.by_tensor.get(tensor, ANY)

    def narrow(self, tensor: int, to: Interval) -> None:
        """Cut a tensor's bounds; not those that were given, and never down to nothing."""
        old = self[tensor]
        low, high = max(old[0], to[0]), min(old[1], to[1])
        if tensor not in self._given and low <= high:
            self.by_tensor[tensor] = low, high


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _constants(tree: Any, graph: Any) -> dict[int, Interval]:
    """Return the range of every constant of numbers."""
    from ai_edge_litert import schema_py_generated as schema

    kinds = schema.TensorType
    types = {kinds.FLOAT32: np.float32, kinds.INT32: np.int32, kinds.INT64: np.int64}
    found = {}
    for number, tensor in enumerate(graph.tensors):
        data = tree.buffers[tensor.buffer].data
        if tensor.type in types and data is not None and len(data):
            values = np.frombuffer(bytes(data), types[tensor.type])
            found[number] = float(values.min()), float(values.max())
    return found


def _step(tree: Any, operator: Any) -> _Step:
    from ai_edge_litert import schema_py_generated as schema

    kinds = schema.ActivationFunctionType
    fused = getattr(operator.builtinOptions, "fusedActivationFunction", kinds.NONE)
    limits = {kinds.RELU: (0, math.inf), kinds.RELU6: (0, 6), kinds.RELU_N1_TO_1: (-1, 1)}
    name = flatbuffer.operator_name(tree, operator)
    return _Step(
        name,
        tuple(int(one) for one in operator.inputs if one >= 0),
        tuple(int(one) for one in operator.outputs),
        CLAMPS.get(name, limits.get(fused, ANY)),
    )


def _forward(step: _Step, found: _Bounds) -> None:
    """Narrow an operator's outputs by its inputs."""
    ins = [found[one] for one in step.inputs]
    for output in step.outputs:
        found.narrow(output, _clamp(_producers(step, ins), step.activation))


def _producers(step: _Step, ins: list[Interval]) -> Interval:
    name = step.name
    if name == "SOFTMAX":
        return 0, 1
    if name in SAME or name in WITHIN:
        return ins[1] if name == "SPLIT" else ins[0]  # whose first input is the axis
    if name in TOGETHER:
        return _hull(_put_together(step, ins))
    if name in ("SELECT", "SELECT_V2"):
        return _hull([ins[1], ins[2]])
    if name in _RISING:
        return _each(ins[0], _RISING[name])
    if name in _BINARY:
        if name == "MUL" and step.inputs[0] == step.inputs[1]:
            return _square(ins[0])
        return _BINARY[name](ins[0], ins[1])
    return _UNARY[name](ins[0]) if name in _UNARY else ANY


def _put_together(step: _Step, ins: list[Interval]) -> list[Interval]:
    if step.name == "PAD":
        return [ins[0], (0, 0)]
    if step.name == "PADV2":
        return [ins[0], ins[2]]
    return ins[:1] if step.name == "MIRROR_PAD" else ins


def _backward(step: _Step, found: _Bounds, own: Collection[int]) -> None:
    """Narrow an operator's inputs by its output; its own, that nobody else reads, further."""
    out = found[step.outputs[0]]
    ins = [found[one] for one in step.inputs]
    for tensor, bound in _wants(step, _before_activation(out, step.activation), ins):
        found.narrow(tensor, bound)
    for tensor, bound in _wants(step, out, ins):
        if tensor in own:
            found.narrow(tensor, bound)
    if step.name in CUTS and step.inputs[0] in own:
        found.narrow(step.inputs[0], out)


def _wants(step: _Step, out: Interval, ins: list[Interval]) -> Iterator[tuple[int, Interval]]:
    name, inputs = step.name, step.inputs
    if name in SAME or name in ("PAD", "PADV2", "MIRROR_PAD"):
        yield inputs[0], out
    elif name in TOGETHER:
        yield from ((one, out) for one in inputs)
    elif name == "ADD":
        yield inputs[0], _minus(out, ins[1])
        yield inputs[1], _minus(out, ins[0])
    elif name == "SUB":
        yield inputs[0], _plus(out, ins[1])
        yield inputs[1], _minus(ins[0], out)
    elif name == "MUL" and inputs[0] != inputs[1]:
        yield inputs[0], _over(out, ins[1])
        yield inputs[1], _over(out, ins[0])
    elif name == "NEG":
        yield inputs[0], _minus((0, 0), out)


def _clamp(one: Interval, limits: Interval) -> Interval:
    low, high = limits
    return min(max(one[0], low), high), min(max(one[1], low), high)


def _before_activation(out: Interval, limits: Interval) -> Interval:
    """Bound what went into a clamp: an end that was clamped says nothing."""
    low, high = limits
    return out[0] if out[0] > low else -math.inf, out[1] if out[1] < high else math.inf


def _hull(every: list[Interval]) -> Interval:
    return min(one[0] for one in every), max(one[1] for one in every)


def _of_ends(a: Interval, b: Interval, operation: Callable[[float, float], float]) -> Interval:
    ends = [operation(x, y) for x in a for y in b]
    return (min(ends), max(ends)) if not any(map(math.isnan, ends)) else ANY


def _plus(a: Interval, b: Interval) -> Interval:
    return a[0] + b[0], a[1] + b[1]


def _minus(a: Interval, b: Interval) -> Interval:
    return a[0] - b[1], a[1] - b[0]


def _times(a: Interval, b: Interval) -> Interval:
    if (0, 0) in (a, b):
        return 0, 0
    return _of_ends(a, b, lambda x, y: x * y)


def _over(a: Interval, b: Interval) -> Interval:
    if b[0] <= 0 <= b[1]:
        return ANY
    return _of_ends(a, b, lambda x, y: x / y)


def _square(a: Interval) -> Interval:
    least = 0.0 if a[0] <= 0 <= a[1] else min(a[0] * a[0], a[1] * a[1])
    return least, max(a[0] * a[0], a[1] * a[1])


def _rsqrt(a: Interval) -> Interval:
    # Of a variance and an epsilon: below 0 only by rounding.
    return _each((a[1], a[0]), lambda x: math.inf if x <= 0 else x**-0.5)


def _magnitude(a: Interval) -> Interval:
    return (0.0 if a[0] <= 0 <= a[1] else min(abs(a[0]), abs(a[1]))), max(abs(a[0]), abs(a[1]))


def _each(a: Interval, function: Callable[[float], float]) -> Interval:
    return function(a[0]), function(a[1])


def _logistic(x: float) -> float:
    return 0.5 * (1 + math.tanh(x / 2))


def _exp(x: float) -> float:
    return math.exp(x) if x < 700 else math.inf


#: HARD_SWISH and SiLU-like curves fall to their lowest value and rise from there.
_LEAST_HARD_SWISH = -0.375


def _hard_swish(a: Interval) -> Interval:
    high = max(_each(a, lambda x: x * min(max(x + 3, 0), 6) / 6 if x > -3 else 0.0))
    return min(_LEAST_HARD_SWISH, 0.0) if a[0] < 0 else 0.0, high


_RISING: Mapping[str, Callable[[float], float]] = {
    "LOGISTIC": _logistic,
    "TANH": math.tanh,
    "EXP": _exp,
    "SQRT": lambda x: math.sqrt(max(x, 0.0)),
}
_UNARY: Mapping[str, Callable[[Interval], Interval]] = {
    "NEG": lambda a: _minus((0, 0), a),
    "SQUARE": _square,
    "RSQRT": _rsqrt,
    "ABS": _magnitude,
    "HARD_SWISH": _hard_swish,
}
_BINARY: Mapping[str, Callable[[Interval, Interval], Interval]] = {
    "ADD": _plus,
    "SUB": _minus,
    "MUL": _times,
    "DIV": _over,
    "SQUARED_DIFFERENCE": lambda a, b: _square(_minus(a, b)),
    "MAXIMUM": lambda a, b: (max(a[0], b[0]), max(a[1], b[1])),
    "MINIMUM": lambda a, b: (min(a[0], b[0]), min(a[1], b[1])),
}
