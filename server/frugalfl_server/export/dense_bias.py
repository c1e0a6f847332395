"""Give dense layers back the biases that the converter moved into the layers behind them.

Of two dense layers without an activation in between, the converter adds the first one's bias,
multiplied out, to the second one's. The sums are the same, but the tensor in between is one that
the author's model does not have, and nobody recorded its range.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from frugalfl_server.export import flatbuffer

if TYPE_CHECKING:
    from frugalfl_server.export.record_calls import Trace

Array = npt.NDArray[Any]
_DENSE = "FULLY_CONNECTED"


def restore_biases(model: bytes, seen: Trace) -> bytes:
    """Return a float .tflite file whose dense layers have the biases of the model it was made of.

    Args:
        model: As the converter wrote it.
        seen: What the converted module did with one row.

    Returns:
        The same bytes if no bias was moved.
    """
    layers = _layers(seen)
    tree = flatbuffer.read(model)
    moved = [_restore(tree, graph, layers) for graph in tree.subgraphs]
    if not any(moved):
        return model
    flatbuffer.drop_unused(tree)
    return flatbuffer.write(tree)


def _layers(seen: Trace) -> list[tuple[Array, Array]]:
    """Return weights and bias of every dense layer that has both."""
    every = [call.tensors[1:] for call in seen.calls if call.name == "linear"]
    return [
        (one[0].detach().numpy(), one[1].detach().numpy().astype(np.float64))
        for one in every
        if len(one) == 2
    ]


def _restore(tree: Any, graph: Any, layers: list[tuple[Array, Array]]) -> bool:
    found = False
    for first in graph.operators:
        behind = _only_reader(tree, graph, first)
        weights = _constant(tree, graph, first, 1)
        if behind is None or weights is None or np.any(_constant(tree, graph, first, 2)):
            continue  # a bias that is still there
        bias = _bias_of(weights, layers)
        after = _constant(tree, graph, behind, 1)
        if bias is None or after is None or not bias.any():
            continue
        old = _constant(tree, graph, behind, 2)
        _set_bias(tree, graph, first, bias)
        _set_bias(tree, graph, behind, (0.0 if old is None else old) - after @ bias)
        found = True
    return found


def _only_reader(tree: Any, graph: Any, operator: Any) -> Any:
    """Return the dense layer that alone reads a dense layer's output, or None."""
    if flatbuffer.operator_name(tree, operator) != _DENSE:
        return None
    if operator.builtinOptions.fusedActivationFunction or operator.outputs[0] in graph.outputs:
        return None
    readers = [one for one in graph.operators if operator.outputs[0] in one.inputs]
    if len(readers) != 1 or flatbuffer.operator_name(tree, readers[0]) != _DENSE:
        return None
    return readers[0] if readers[0].inputs[0] == operator.outputs[0] else None


def _bias_of(weights: Array, layers: list[tuple[Array, Array]]) -> Array | None:
    """Return the bias of the layer with these weights; None if that is none, or not one only."""
    alike = [bias for one, bias in layers if np.array_equal(one, weights)]
    return alike[0] if alike and all(np.array_equal(one, alike[0]) for one in alike) else None


def _constant(tree: Any, graph: Any, operator: Any, place: int) -> Array | None:
    if place >= len(operator.inputs) or operator.inputs[place] < 0:
        return None
    tensor = graph.tensors[operator.inputs[place]]
    data = tree.buffers[tensor.buffer].data
    if data is None or not len(data):
        return None
    return np.frombuffer(bytes(data), np.float32).reshape(tensor.shape)


def _set_bias(tree: Any, graph: Any, operator: Any, bias: Array) -> None:
    """Give an operator a bias of its own: others may share the one that it has."""
    from ai_edge_litert import schema_py_generated as schema

    data = np.frombuffer(bias.astype(np.float32).tobytes(), np.uint8)
    tree.buffers.append(schema.BufferT(data=data))
    name = graph.tensors[operator.outputs[0]].name + b";bias"
    tensor = schema.TensorT(
        name=name, shape=[len(bias)], type=schema.TensorType.FLOAT32, buffer=len(tree.buffers) - 1
    )
    graph.tensors.append(tensor)
    operator.inputs = [*operator.inputs[:2], len(graph.tensors) - 1]
