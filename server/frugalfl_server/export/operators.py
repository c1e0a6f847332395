"""Which operators a .tflite file has, and which of them a microcontroller has kernels for."""

from __future__ import annotations

from collections.abc import Collection

from frugalfl_server.export import flatbuffer

_NAMES = """
ABS ADD ADD_N ARG_MAX ARG_MIN AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND BROADCAST_TO CAST
CEIL CONCATENATION CONV_2D COS CUMSUM DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE DIV ELU EQUAL
EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER GATHER_ND GREATER
GREATER_EQUAL HARD_SWISH L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND
LOGICAL_NOT LOGICAL_OR LOGISTIC LOG_SOFTMAX MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG
NOT_EQUAL PACK PAD PADV2 PRELU QUANTIZE REDUCE_MAX REDUCE_MIN RELU RELU6 RESHAPE RESIZE_BILINEAR
RESIZE_NEAREST_NEIGHBOR REVERSE_V2 ROUND RSQRT SELECT_V2 SHAPE SIN SLICE SOFTMAX
SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE SQUEEZE
STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK
ZEROS_LIKE
"""
#: Operators that TFLite-Micro registers (tflite-micro 0.dev20261023, each tried) and that work on
#: plain tensors: no control flow, no variables, no custom operators.
MICRO_OPERATORS = frozenset(_NAMES.split())


def operators(model: bytes) -> tuple[str, ...]:
    """Return the operators of a .tflite file in the order they run, repeats included.

    Raises:
        ExportError: The bytes are not a .tflite file.
    """
    tree = flatbuffer.read(model)
    every = [operator for graph in tree.subgraphs for operator in graph.operators]
    return tuple(flatbuffer.operator_name(tree, operator) for operator in every)


def float_operators(model: bytes) -> tuple[str, ...]:
    """Return the operators that read or write float32, repeats included.

    Raises:
        ExportError: The bytes are not a .tflite file.
    """
    from ai_edge_litert import schema_py_generated as schema

    tree = flatbuffer.read(model)
    found = []
    for graph in tree.subgraphs:
        for operator in graph.operators:
            touched = [index for index in (*operator.inputs, *operator.outputs) if index >= 0]
            if any(graph.tensors[index].type == schema.TensorType.FLOAT32 for index in touched):
                found.append(flatbuffer.operator_name(tree, operator))
    return tuple(found)


def first_made_by(model: bytes, names: Collection[str]) -> str:
    """Return the name of the first tensor that one of these operators makes; empty for none.

    Raises:
        ExportError: The bytes are not a .tflite file.
    """
    tree = flatbuffer.read(model)
    for graph in tree.subgraphs:
        for operator in graph.operators:
            if flatbuffer.operator_name(tree, operator) in names:
                return bytes(graph.tensors[operator.outputs[0]].name).decode()
    return ""


def end_types(model: bytes) -> tuple[str, str]:
    """Return the types of a .tflite file's first input and output, such as ``int8``.

    Raises:
        ExportError: The bytes are not a .tflite file.
    """
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name.lower() for name, value in vars(schema.TensorType).items()}
    graph = flatbuffer.read(model).subgraphs[0]
    taken, given = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    return names[taken.type], names[given.type]
