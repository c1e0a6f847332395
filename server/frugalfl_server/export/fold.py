"""Fold the TRANSPOSE of a channels-last flatten into the dense layer that follows it.

PyTorch flattens ``(channels, height, width)``; a channels-last model would have to turn every
activation around first. Turning the columns of the dense layer's weights around once, here,
gives the same sums without the TRANSPOSE. (The RESHAPE stays: XNNPACK refuses a dense layer on
four axes.)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from frugalfl_server.export import flatbuffer

#: Channels last to channels first, as the converter writes it in front of a flatten.
TO_CHANNELS_FIRST = [0, 3, 1, 2]


def fold_flatten(model: bytes) -> bytes:
    """Return a float .tflite file with no TRANSPOSE in front of a flatten and a dense layer.

    A model without that chain of three operators is returned unchanged.
    """
    tree = flatbuffer.read(model)
    folded = False
    for graph in tree.subgraphs:
        for dense in list(graph.operators):
            folded |= _fold(tree, graph, dense)
    if not folded:
        return model
    flatbuffer.drop_unused(tree)
    return flatbuffer.write(tree)


def _fold(tree: Any, graph: Any, dense: Any) -> bool:
    flatten = _only_producer(tree, graph, dense, "FULLY_CONNECTED", "RESHAPE")
    if flatten is None or _readers(graph, dense.inputs[1]) != 1:
        return False
    turn = _only_producer(tree, graph, flatten, "RESHAPE", "TRANSPOSE")
    if turn is None or _permutation(tree, graph, turn) != TO_CHANNELS_FIRST:
        return False
    source, weights = graph.tensors[turn.inputs[0]], graph.tensors[dense.inputs[1]]
    _turn_columns(tree, weights, source.shape)
    flatten.inputs[0] = turn.inputs[0]
    graph.operators = [one for one in graph.operators if one is not turn]
    return True


def _only_producer(tree: Any, graph: Any, operator: Any, name: str, wanted: str) -> Any | None:
    """Return the operator before ``operator``, if they are called so and nobody else reads it."""
    if flatbuffer.operator_name(tree, operator) != name or _readers(graph, operator.inputs[0]) != 1:
        return None
    for other in graph.operators:
        if operator.inputs[0] in other.outputs and flatbuffer.operator_name(tree, other) == wanted:
            return other
    return None


def _readers(graph: Any, tensor: int) -> int:
    inside = sum(list(operator.inputs).count(tensor) for operator in graph.operators)
    return inside + list(graph.outputs).count(tensor)


def _permutation(tree: Any, graph: Any, turn: Any) -> list[int]:
    data = tree.buffers[graph.tensors[turn.inputs[1]].buffer].data
    return [] if data is None else np.frombuffer(bytes(data), dtype=np.int32).tolist()


def _turn_columns(tree: Any, weights: Any, shape: Any) -> None:
    """Reorder weight columns to the order of ``shape``: ``(1, height, width, channels)``."""
    _, height, width, channels = shape
    first = np.frombuffer(bytes(tree.buffers[weights.buffer].data), dtype=np.float32)
    last = first.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
    # Two layers with equal weights may share a buffer: the turned one gets its own.
    tree.buffers.append(type(tree.buffers[0])(data=np.frombuffer(last.tobytes(), dtype=np.uint8)))
    weights.buffer = len(tree.buffers) - 1
