"""Ranges no smaller than integer kernels can compute with, if training switched something off.

A layer that puts out nothing but zeros has no range, and the quantizer makes one of next to nothing
for it. What is computed from one accumulator step is larger than that by more than kernels multiply
with (XNNPACK refuses the model), and a bias beside weights that are all 0 does not fit int32 (it
saturates without a word). A wider range costs nothing here: the values are still 0, or far less
than a step of what they are added to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from frugalfl_server.export import flatbuffer

#: By operators with weights: the axis of their output channels, and the place of their bias.
WEIGHTED = {
    "CONV_2D": (0, 2), "DEPTHWISE_CONV_2D": (3, 2), "FULLY_CONNECTED": (0, 2),
    "TRANSPOSE_CONV": (0, 3),
}  # fmt: skip
#: Operators that bring two tensors to one scale.
SUMS = frozenset({"ADD", "SUB", "CONCATENATION"})
#: Spans below are the quantizer's own stand-in for 0.
NOTHING = 1e-9
#: XNNPACK multiplies accumulators by less than 256, and inputs of sums by 2**-10 or more.
MOST_TIMES, LEAST_SHARE = 64, 2.0**-9
#: A bias leaves as much of an int32 to what is added to it.
LARGEST_BIAS = 2.0**30
STEPS, WEIGHT_STEPS = 255, 127
Array = npt.NDArray[Any]


def widen(model: bytes, statistics: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return ranges in which no scale is too small for its neighbours'; others stay as they are.

    Args:
        model: A float .tflite file.
        statistics: By tensor name, ``min`` and ``max`` among others, of activations.

    Returns:
        The same, and those of weights whose bias would not fit beside them.
    """
    graph = _Graph(model, statistics)
    for operator in graph.operators:
        graph.widen_output(operator)
    for operator in reversed(graph.operators):
        graph.widen_inputs(operator)
    for operator in graph.operators:
        graph.widen_weights(operator)
    return graph.statistics


class _Graph:
    """A float file, and what is known of its tensors."""

    def __init__(self, model: bytes, statistics: dict[str, dict[str, Any]]) -> None:
        self._tree = flatbuffer.read(model)
        self._tensors = self._tree.subgraphs[0].tensors
        self.operators = self._tree.subgraphs[0].operators
        self.statistics = dict(statistics)

    def widen_output(self, operator: Any) -> None:
        """See that one step of an accumulator, or of an input, is not many of the output."""
        spans = [self._span(name) for name in self._known(operator.inputs)]
        for name in self._known(operator.outputs):
            least = self._least(operator, spans)
            if self._span(name) <= NOTHING:
                least = max(least, *spans) if max(spans, default=0) > NOTHING else 1.0
            self._stretch(name, least)

    def widen_inputs(self, operator: Any) -> None:
        """See that no part of a sum has steps that vanish beside the sum's."""
        if self._name(operator) not in SUMS:
            return
        for made in self._known(operator.outputs):
            for name in self._known(operator.inputs):
                self._stretch(name, LEAST_SHARE * self._span(made))

    def widen_weights(self, operator: Any) -> None:
        """See that a bias, counted in steps of input times weights, fits its integers."""
        axis, place = WEIGHTED.get(self._name(operator), (0, len(operator.inputs)))
        known = list(self._known(operator.inputs))
        if place >= len(operator.inputs) or not known:
            return
        weights, bias = self._constant(operator.inputs[1]), self._constant(operator.inputs[place])
        if weights is None or bias is None:
            return
        step = max(self._span(known[0]), NOTHING) / STEPS
        least = WEIGHT_STEPS * np.abs(bias.astype(np.float64)) / (LARGEST_BIAS * step)
        other = tuple(one for one in range(weights.ndim) if one != axis)
        if self._name(operator) == "FULLY_CONNECTED":  # one scale for all rows
            other, least = (0, 1), least.max()
        low, high = (end(weights, axis=other, keepdims=True) for end in (np.min, np.max))
        least = np.reshape(least, low.shape)
        if (least > np.maximum(np.abs(low), np.abs(high))).any():
            self.statistics[_text(self._tensors[operator.inputs[1]].name)] = {
                "min": np.minimum(low, -least).astype(np.float32),
                "max": np.maximum(high, least).astype(np.float32),
            }

    def _least(self, operator: Any, spans: list[float]) -> float:
        """Return the smallest span that an operator's output may have."""
        name = self._name(operator)
        if name in SUMS:
            return max(spans, default=0.0) / MOST_TIMES
        if name == "MUL" and len(spans) == 2:
            return spans[0] * spans[1] / STEPS / MOST_TIMES
        weights = self._constant(operator.inputs[1]) if name in WEIGHTED else None
        if weights is None or not spans:
            return 0.0
        return spans[0] * float(np.abs(weights).max()) / WEIGHT_STEPS / MOST_TIMES

    def _stretch(self, name: str, least: float) -> None:
        if self._span(name) < least:
            known = self.statistics[name]
            high = np.full_like(known["max"], float(np.min(known["min"])) + least)
            self.statistics[name] = known | {"max": high}

    def _span(self, name: str) -> float:
        known = self.statistics[name]
        return max(float(np.max(known["max"])), 0.0) - min(float(np.min(known["min"])), 0.0)

    def _known(self, tensors: Any) -> Iterator[str]:
        names = (_text(self._tensors[one].name) for one in tensors if one >= 0)
        return (name for name in names if name in self.statistics)

    def _name(self, operator: Any) -> str:
        return flatbuffer.operator_name(self._tree, operator)

    def _constant(self, tensor: int) -> Array | None:
        """Return a constant's numbers, float32; None for what is computed, or not there."""
        if tensor < 0:
            return None
        one = self._tensors[tensor]
        data = self._tree.buffers[one.buffer].data
        if data is None or not len(data):
            return None
        return np.frombuffer(bytes(data), np.float32).reshape(one.shape)


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
