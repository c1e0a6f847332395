"""A float .tflite file to an int8 one that TFLite-Micro of any age computes correctly.

Three choices, each measured on host x86-64 with five small networks:

* Ranges are the smallest and largest value seen. The quantizer's default, a moving average,
  costs 15 to 25 dB of the outputs' signal-to-noise ratio.
* Dense layers have one scale for all rows of their weights. With one scale a row,
  TFLite-Micro before May 2024 computes wrong numbers without an error.
* Operator versions are raised to those of the int8 kernels. The quantizer leaves the float
  ones, which strict importers refuse.
"""

from __future__ import annotations

import copy
from typing import Any

from frugalfl.errors import ExportError
from frugalfl.task import FloatArray
from frugalfl_server.export import flatbuffer
from frugalfl_server.export.explain import explained
from frugalfl_server.export.quiet import quiet

#: First version of each operator with an int8 kernel, from the TFLite operator registry
#: (tensorflow/lite/tools/versioning/op_version.cc); others have int8 since their first version.
INT8_VERSIONS = {
    "ADD": 2,
    "AVERAGE_POOL_2D": 2,
    "CONCATENATION": 2,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "DEQUANTIZE": 2,
    "FULLY_CONNECTED": 4,
    "LEAKY_RELU": 2,
    "LOGISTIC": 2,
    "LOG_SOFTMAX": 2,
    "MAXIMUM": 2,
    "MAX_POOL_2D": 2,
    "MEAN": 2,
    "MINIMUM": 2,
    "MUL": 2,
    "PAD": 2,
    "PADV2": 2,
    "RELU": 2,
    "RELU6": 2,
    "RESIZE_BILINEAR": 2,
    "RESIZE_NEAREST_NEIGHBOR": 2,
    "SLICE": 2,
    "SOFTMAX": 2,
    "SPLIT": 2,
    "STRIDED_SLICE": 2,
    "SUB": 2,
    "SUM": 2,
    "TANH": 2,
    "TRANSPOSE": 2,
    "TRANSPOSE_CONV": 2,
}

#: ``(batch, features)``: what a dense layer sees after a flatten.
ROW_RANK = 2


def quantize(model: bytes, calibration: FloatArray) -> bytes:
    """Quantize weights and activations to int8, inputs and outputs included.

    Args:
        model: A float .tflite file with one signature, one input and batch 1, as
            :func:`~frugalfl_server.export.convert.convert` writes it.
        calibration: Typical rows in the *file's* layout, float32, shape ``(rows, *row shape)``;
            about 200 of them are enough. Their ranges become the activations' int8 scales.

    Returns:
        An int8 .tflite file that keeps its signature and its names.

    Raises:
        ExportError: No calibration rows, rows of the wrong shape, or an operator that the
            quantizer refuses.
        MissingExtraError: ai-edge-quantizer is not installed.
    """
    _check_rows(model, calibration)
    with explained("the model cannot be quantized"), quiet():
        quantized = _run_quantizer(model, calibration)
    return repair(quantized)


def _check_rows(model: bytes, calibration: FloatArray) -> None:
    graph = flatbuffer.read(model).subgraphs[0]
    expected = tuple(graph.tensors[graph.inputs[0]].shape[1:])
    if len(calibration) == 0:
        raise ExportError("no calibration rows; int8 scales need about 200 typical ones")
    if calibration.shape[1:] != expected:
        has = calibration.shape[1:]
        raise ExportError(f"calibration rows have shape {has}, the model takes {expected}")


def _recipe() -> list[Any]:
    from ai_edge_quantizer import recipe

    everything = recipe.static_wi8_ai8()[0]
    dense = copy.deepcopy(everything)
    dense["operation"] = "FULLY_CONNECTED"
    dense["op_config"]["weight_tensor_config"]["granularity"] = "TENSORWISE"
    return [everything, dense]


def _run_quantizer(model: bytes, calibration: FloatArray) -> bytes:
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import calibrator, quantizer, recipe_manager
    from ai_edge_quantizer.utils import qsv_utils

    (signature, names), *_ = Interpreter(model_content=model).get_signature_list().items()
    rows = [{names["inputs"][0]: row[None]} for row in calibration]
    recipes = recipe_manager.RecipeManager()
    recipes.load_quantization_recipe(_recipe())
    # Quantizer.calibrate() has no way to choose min and max, so its parts are called here.
    ranges = calibrator.Calibrator(model, num_threads=1, qsv_update_func=qsv_utils.min_max_update)
    ranges.calibrate({signature: rows}, recipes)
    result = quantizer.Quantizer(bytearray(model), _recipe()).quantize(
        ranges.get_model_qsvs(), enable_progress_report=False
    )
    return bytes(result.quantized_model)


def repair(model: bytes) -> bytes:
    """Return an int8 .tflite file with the operator versions and options of the int8 kernels."""
    tree = flatbuffer.read(model)
    for graph in tree.subgraphs:
        for operator in graph.operators:
            name = flatbuffer.operator_name(tree, operator)
            if name == "FULLY_CONNECTED":
                _flatten_dense(graph, operator)
            if name == "RESHAPE":
                _add_reshape_options(graph, operator)
            code = tree.operatorCodes[operator.opcodeIndex]
            code.version = _version(name, code.version, operator)
    return flatbuffer.write(tree)


def _flatten_dense(graph: Any, operator: Any) -> None:
    """Clear an option that means nothing on rows of one axis, yet asks for a newer kernel."""
    if len(graph.tensors[operator.inputs[0]].shape) == ROW_RANK:
        operator.builtinOptions.keepNumDims = False


def _add_reshape_options(graph: Any, operator: Any) -> None:
    from ai_edge_litert import schema_py_generated as schema

    if operator.builtinOptions is None:
        shape = list(graph.tensors[operator.outputs[0]].shape)
        operator.builtinOptionsType = schema.BuiltinOptions.ReshapeOptions
        operator.builtinOptions = schema.ReshapeOptionsT(newShape=shape)


def _version(name: str, written: int, operator: Any) -> int:
    if name == "FULLY_CONNECTED":
        return 5 if operator.builtinOptions.keepNumDims else INT8_VERSIONS[name]
    return max(written, INT8_VERSIONS.get(name, 1))
