"""Take TRANSPOSEs out of a float model if the operator behind can read channels last itself.

PyTorch's axes are ``(channels, height, width)``; a channels-last model would have to turn
activations around in front of whatever names an axis:

* A flatten and a dense layer: the columns of the layer's weights are turned around instead,
  once, here. (The RESHAPE stays: XNNPACK refuses a dense layer on four axes.)
* A mean, sum or maximum over axes, as in ``x.mean((2, 3))``: other axes are named.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from frugalfl_server.export import flatbuffer

#: Channels last to channels first, as the converter writes it in front of a flatten.
TO_CHANNELS_FIRST = [0, 3, 1, 2]
REDUCTIONS = frozenset({"MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"})


def fold_transposes(model: bytes) -> bytes:
    """Return a float .tflite file without those TRANSPOSEs that make no difference.

    A model that has none is returned unchanged.
    """
    tree = flatbuffer.read(model)
    folded = False
    for graph in tree.subgraphs:
        for turn in [one for one in graph.operators if _is(tree, one, "TRANSPOSE")]:
            folded |= _fold(tree, graph, turn)
    if not folded:
        return model
    flatbuffer.drop_unused(tree)
    return flatbuffer.write(tree)


def _fold(tree: Any, graph: Any, turn: Any) -> bool:
    """Let those that read a TRANSPOSE read its input; remove it when nobody is left."""
    order = _constant(tree, graph, turn.inputs[1])
    readers = _readers(graph, turn.outputs[0])
    moved = [one for one in readers if _reads_turned(tree, graph, one, order, turn.inputs[0])]
    for reader in moved:
        reader.inputs[0] = turn.inputs[0]
    if len(moved) == len(readers) and turn.outputs[0] not in graph.outputs:
        graph.operators = [one for one in graph.operators if one is not turn]
    return bool(moved)


def _reads_turned(tree: Any, graph: Any, reader: Any, order: list[int], source: int) -> bool:
    """Change an operator so that it may read the tensor in front of the TRANSPOSE, if it can."""
    if flatbuffer.operator_name(tree, reader) in REDUCTIONS:
        return _turn_reduction(tree, graph, reader, order)
    if _is(tree, reader, "RESHAPE") and order == TO_CHANNELS_FIRST:
        return _turn_flatten(tree, graph, reader, graph.tensors[source].shape)
    return False


def _turn_reduction(tree: Any, graph: Any, reduction: Any, order: list[int]) -> bool:
    axes = _constant(tree, graph, reduction.inputs[1])
    if not axes:
        return False
    kept = [order[axis] for axis in range(len(order)) if axis not in {a % len(order) for a in axes}]
    if reduction.builtinOptions.keepDims or kept != sorted(kept):
        return False  # the result itself would be turned around
    turned = np.array(sorted(order[axis] for axis in axes), np.int32)
    reduction.inputs[1] = _add_constant(tree, graph, graph.tensors[reduction.inputs[1]], turned)
    return True


def _turn_flatten(tree: Any, graph: Any, flatten: Any, shape: Any) -> bool:
    """Reorder the weight columns of the dense layers that read a flatten."""
    dense = _readers(graph, flatten.outputs[0])
    rows, *rest = graph.tensors[flatten.outputs[0]].shape
    only_dense = dense and all(_is(tree, one, "FULLY_CONNECTED") for one in dense)
    if not only_dense or flatten.outputs[0] in graph.outputs or (rows, len(rest)) != (1, 1):
        return False
    if any(tree.buffers[graph.tensors[one.inputs[1]].buffer].data is None for one in dense):
        return False  # weights that are computed
    for one in dense:
        weights = graph.tensors[one.inputs[1]]
        turned = _turn_columns(tree, weights, shape)
        one.inputs[1] = _add_constant(tree, graph, weights, turned)
    return True


def _turn_columns(tree: Any, weights: Any, shape: Any) -> Any:
    """Return weights with columns in the order of ``shape``: ``(1, height, width, channels)``."""
    _, height, width, channels = shape
    first = np.frombuffer(bytes(tree.buffers[weights.buffer].data), dtype=np.float32)
    return first.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)


def _add_constant(tree: Any, graph: Any, like: Any, values: Any) -> int:
    """Add a constant beside one that others may share, and return its number."""
    constant = copy.copy(like)
    tree.buffers.append(type(tree.buffers[0])(data=np.frombuffer(values.tobytes(), dtype=np.uint8)))
    constant.buffer = len(tree.buffers) - 1
    constant.name = like.name + b";turned" if isinstance(like.name, bytes) else like.name
    graph.tensors.append(constant)
    return len(graph.tensors) - 1


def _is(tree: Any, operator: Any, name: str) -> bool:
    return flatbuffer.operator_name(tree, operator) == name


def _readers(graph: Any, tensor: int) -> list[Any]:
    return [operator for operator in graph.operators if tensor in operator.inputs]


def _constant(tree: Any, graph: Any, tensor: int) -> list[int]:
    """Return the numbers of a constant of axes; none if they are computed."""
    data = tree.buffers[graph.tensors[tensor].buffer].data
    return [] if data is None else np.frombuffer(bytes(data), dtype=np.int32).tolist()
