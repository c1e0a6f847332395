"""A .tflite file to an object tree and back, with tensor data where a microcontroller wants it.

The tree is the generated schema of ai-edge-litert: untyped, hence ``Any``.
"""

from __future__ import annotations

from typing import Any

from frugalfl.errors import ExportError

#: TFLite-Micro reads weights in place with aligned loads; the schema's ``force_align`` says 16.
ALIGNMENT = 16


def read(model: bytes) -> Any:
    """Parse a .tflite file into a ``ModelT`` of the schema.

    Raises:
        ExportError: The bytes are not a .tflite file.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    _check_is_model(model)
    return flatbuffer_utils.read_model_from_bytearray(model)


def write(tree: Any) -> bytes:
    """Serialize a ``ModelT``; tensor data starts at multiples of 16 bytes from the file's start."""
    from ai_edge_litert.tools import flatbuffer_utils

    tree.buffers = [_AlignedBuffer(buffer.data) for buffer in tree.buffers]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(tree))


def input_shape(model: bytes) -> tuple[int, ...]:
    """Return the shape of a file's first input, batch included.

    Raises:
        ExportError: The bytes are not a .tflite file.
    """
    from ai_edge_litert import schema_py_generated as schema

    _check_is_model(model)
    graph = schema.Model.GetRootAs(model).Subgraphs(0)
    return tuple(graph.Tensors(graph.Inputs(0)).ShapeAsNumpy().tolist())


def operator_name(tree: Any, operator: Any) -> str:
    """Return the schema's name of an operator, e.g. ``CONV_2D``."""
    from ai_edge_litert.tools import flatbuffer_utils

    return str(flatbuffer_utils.opcode_to_name(tree, operator.opcodeIndex))


def drop_unused(tree: Any) -> None:
    """Remove, in place, tensors that no operator touches and buffers that nothing points at.

    An unused tensor costs arena, an unused buffer or operator code flash. What is left is put in
    the order of its first use, so that equal models are equal files. Signatures follow along.
    """
    _drop_operator_codes(tree)
    for number, graph in enumerate(tree.subgraphs):
        _drop_tensors(graph, _signature_tensors(tree, number))
    holders = [tensor for graph in tree.subgraphs for tensor in graph.tensors]
    holders += tree.metadata or []
    # By convention buffer 0 is empty and stands for "no data".
    used = list(dict.fromkeys([0, *(holder.buffer for holder in holders)]))
    for holder in holders:
        holder.buffer = used.index(holder.buffer)
    tree.buffers = [tree.buffers[old] for old in used]


def _drop_operator_codes(tree: Any) -> None:
    operators = [operator for graph in tree.subgraphs for operator in graph.operators]
    used = list(dict.fromkeys(operator.opcodeIndex for operator in operators))
    for operator in operators:
        operator.opcodeIndex = used.index(operator.opcodeIndex)
    tree.operatorCodes = [tree.operatorCodes[old] for old in used]


def _drop_tensors(graph: Any, signature: list[Any]) -> None:
    lists = [graph.inputs, graph.outputs]
    lists += [one for operator in graph.operators for one in (operator.inputs, operator.outputs)]
    used = list(dict.fromkeys(index for one in lists for index in one if index >= 0))
    new = {-1: -1, **{old: position for position, old in enumerate(used)}}
    for one in lists:
        one[:] = [new[index] for index in one]
    for named in signature:
        named.tensorIndex = new[named.tensorIndex]
    graph.tensors = [graph.tensors[old] for old in used]


def _signature_tensors(tree: Any, graph: int) -> list[Any]:
    signatures = [one for one in tree.signatureDefs or [] if one.subgraphIndex == graph]
    return [named for one in signatures for named in [*one.inputs, *one.outputs]]


def _check_is_model(model: bytes) -> None:
    if model[4:8] != b"TFL3":
        raise ExportError(f"{len(model)} bytes that are not a .tflite file; is it complete?")


class _AlignedBuffer:
    """Takes the place of the schema's ``BufferT``, whose ``Pack`` drops the alignment."""

    def __init__(self, data: Any) -> None:
        self.data = None if data is None else bytes(data)

    def Pack(self, builder: Any) -> int:  # noqa: N802  the name that the schema calls
        from ai_edge_litert import schema_py_generated as schema

        vector = None
        if self.data is not None:
            builder.StartVector(1, len(self.data), ALIGNMENT)
            builder.head -= len(self.data)
            builder.Bytes[builder.head : builder.head + len(self.data)] = self.data
            vector = builder.EndVector()
        schema.BufferStart(builder)
        if vector is not None:
            schema.BufferAddData(builder, vector)
        return int(schema.BufferEnd(builder))
