"""Write a convolution of a one-channel input as the plain convolution that it also is.

The converter makes a depthwise one of it, with as many outputs a channel as there are. The sums
are the same; but kernels for microcontrollers are fast for one output a channel only, and a model
with no other depthwise convolution would need their code besides.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from frugalfl_server.export import flatbuffer


def plain_convolutions(model: bytes) -> bytes:
    """Return a float .tflite file with no DEPTHWISE_CONV_2D on an input of one channel.

    A model without one is returned unchanged.
    """
    tree = flatbuffer.read(model)
    found = [
        (graph, operator)
        for graph in tree.subgraphs
        for operator in graph.operators
        if flatbuffer.operator_name(tree, operator) == "DEPTHWISE_CONV_2D"
        and graph.tensors[operator.inputs[0]].shape[-1] == 1
        and _readers(graph, operator.inputs[1]) == 1
    ]
    if not found:
        return model
    for graph, operator in found:
        _rewrite(tree, graph, operator)
    flatbuffer.drop_unused(tree)
    return flatbuffer.write(tree)


def _readers(graph: Any, tensor: int) -> int:
    return sum(list(operator.inputs).count(tensor) for operator in graph.operators)


def _rewrite(tree: Any, graph: Any, operator: Any) -> None:
    from ai_edge_litert import schema_py_generated as schema

    weights = graph.tensors[operator.inputs[1]]
    _, height, width, channels = weights.shape
    depthwise = np.frombuffer(bytes(tree.buffers[weights.buffer].data), dtype=np.float32)
    plain = depthwise.reshape(height, width, 1, channels).transpose(3, 0, 1, 2)
    # Two layers with equal weights may share a buffer: this one gets its own.
    tree.buffers.append(schema.BufferT(data=np.frombuffer(plain.tobytes(), dtype=np.uint8)))
    weights.buffer, weights.shape = len(tree.buffers) - 1, list(plain.shape)
    old = operator.builtinOptions
    operator.opcodeIndex = _code(tree, schema.BuiltinOperator.CONV_2D)
    operator.builtinOptionsType = schema.BuiltinOptions.Conv2DOptions
    operator.builtinOptions = schema.Conv2DOptionsT(
        padding=old.padding,
        strideW=old.strideW,
        strideH=old.strideH,
        dilationWFactor=old.dilationWFactor,
        dilationHFactor=old.dilationHFactor,
        fusedActivationFunction=old.fusedActivationFunction,
    )


def _code(tree: Any, builtin: int) -> int:
    """Return the index of an operator code, which is added if it is missing."""
    from ai_edge_litert import schema_py_generated as schema

    known = [code.builtinCode for code in tree.operatorCodes]
    if builtin not in known:
        known.append(builtin)
        tree.operatorCodes.append(
            schema.OperatorCodeT(deprecatedBuiltinCode=builtin, builtinCode=builtin, version=1)
        )
    return known.index(builtin)
