"""An int8 .tflite file to the smallest file that computes the same bytes on a microcontroller.

TFLite-Micro reads operators, shapes, scales and weights. Names (whole module paths), metadata,
signatures and calibration ranges only take up flash: 13 to 45 % of a small model's file. So do
the scales of a convolution's bias, 12 bytes a channel: each is the product of the input's and the
weights' scales, which the kernels compute themselves.
"""

from __future__ import annotations

from typing import Any

from frugalfl_server.export import flatbuffer

#: Kernels with one scale a channel; that of a dense layer checks its bias's only scale.
_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_BIAS = 2


def strip(model: bytes) -> bytes:
    """Return a .tflite file with everything gone that an inference does not read.

    The outputs are the same, bit for bit. LiteRT's signature runner needs what is removed here:
    keep the original for devices that run LiteRT.

    Raises:
        ExportError: The bytes are not a .tflite file.
    """
    tree = flatbuffer.read(model)
    tree.description = tree.metadata = tree.metadataBuffer = tree.signatureDefs = None
    for graph in tree.subgraphs:
        graph.name = None
        for tensor in graph.tensors:
            _strip_tensor(tensor)
        for operator in graph.operators:
            if flatbuffer.operator_name(tree, operator) in _CONVOLUTIONS:
                _strip_bias(graph, operator)
    _share_equal_buffers(tree)
    flatbuffer.drop_unused(tree)
    return flatbuffer.write(tree)


def _strip_tensor(tensor: Any) -> None:
    tensor.name = None
    if tensor.shapeSignature is not None and -1 not in tensor.shapeSignature:
        tensor.shapeSignature = None
    if tensor.quantization is not None:
        tensor.quantization.min = tensor.quantization.max = None
        if tensor.quantization.scale is None:
            tensor.quantization = None


def _strip_bias(graph: Any, operator: Any) -> None:
    if len(operator.inputs) > _BIAS and operator.inputs[_BIAS] >= 0:
        graph.tensors[operator.inputs[_BIAS]].quantization = None


def _share_equal_buffers(tree: Any) -> None:
    """Point tensors with equal contents at one buffer; the others become unused."""
    first: dict[bytes, int] = {}
    for graph in tree.subgraphs:
        for tensor in graph.tensors:
            data = tree.buffers[tensor.buffer].data
            if data is not None:
                tensor.buffer = first.setdefault(bytes(data), tensor.buffer)
