"""A float .tflite file to an int8 one that TFLite-Micro of any age computes correctly.

Weights are int8, activations int8 or int16.

Three choices, each measured on host x86-64 with five small networks:

* Ranges are the smallest and largest value seen. The quantizer's default, a moving average,
  costs 15 to 25 dB of the outputs' signal-to-noise ratio.
* Dense layers have one scale for all rows of their weights. With one scale a row,
  TFLite-Micro before May 2024 computes wrong numbers without an error. So do all kernels, of
  any age, for products with a constant matrix (``torch.einsum``).
* Operator versions are raised to those of the int8 kernels. The quantizer leaves the float
  ones, which strict importers refuse.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from frugalfl.errors import ExportError
from frugalfl.task import FloatArray
from frugalfl_server.export import flatbuffer
from frugalfl_server.export.explain_error import explain_errors
from frugalfl_server.export.least_ranges import widen
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

#: The same for int16 activations, if that is another version.
INT16_VERSIONS = {
    "ADD": 3,
    "AVERAGE_POOL_2D": 3,
    "BATCH_MATMUL": 3,
    "CONCATENATION": 3,
    "DEQUANTIZE": 3,
    "LOGISTIC": 3,
    "MAXIMUM": 4,
    "MAX_POOL_2D": 3,
    "MEAN": 3,
    "MINIMUM": 4,
    "MUL": 4,
    "PAD": 3,
    "PADV2": 3,
    "QUANTIZE": 2,
    "RELU": 3,
    "RELU6": 3,
    "RESIZE_BILINEAR": 4,
    "RESIZE_NEAREST_NEIGHBOR": 4,
    "RSQRT": 3,
    "SLICE": 4,
    "SOFTMAX": 3,
    "SPLIT": 4,
    "SUB": 5,
    "TANH": 3,
    "TRANSPOSE": 5,
}

#: int16 has steps to spare: two bits of it are for values beyond every range that was seen.
HEADROOM = 4
#: What the quantizer knows of each tensor, by its name: ``min`` and ``max`` among others.
Statistics = dict[str, dict[str, Any]]

#: Operators whose weights have one scale for all of them.
_ONE_SCALE = ("FULLY_CONNECTED", "BATCH_MATMUL")
#: ``(batch, features)``: what a dense layer sees after a flatten.
ROW_RANK = 2


def quantize(
    model: bytes,
    calibration: FloatArray | Mapping[str, tuple[float, float]],
    activations: str = "int8",
) -> bytes:
    """Quantize weights to int8, and activations, inputs and outputs to int8 or int16.

    Args:
        model: A float .tflite file with one signature, one input and batch 1, as
            :func:`~frugalfl_server.export.to_float_tflite.convert` writes it.
        calibration: What the activations' scales are made of. Either typical rows in the *file's*
            layout, float32, shape ``(rows, *row shape)``; about 200 of them are enough. Or the
            range of every activation by its name in the file, as
            :func:`~frugalfl_server.export.ranges.name_ranges` finds them.
        activations: int16 is 256 times as fine, and takes more RAM and time on the device.

    Returns:
        A quantized .tflite file that keeps its signature and its names.

    Raises:
        ExportError: No calibration rows, rows of the wrong shape, a tensor without a range, or an
            operator that the quantizer refuses.
        MissingExtraError: ai-edge-quantizer is not installed.
    """
    if activations not in ("int8", "int16"):
        raise ExportError(f"activations are {activations!r}; they can be int8 or int16")
    if isinstance(calibration, Mapping):
        statistics = _fill_in(model, calibration)
    else:
        _check_rows(model, calibration)
        statistics = calibrate_ranges(model, calibration)
    if activations == "int8":
        statistics = widen(model, statistics)
    if activations == "int16":
        for known in statistics.values():
            known["min"], known["max"] = HEADROOM * known["min"], HEADROOM * known["max"]
    with explain_errors("the model cannot be quantized"), quiet():
        quantized = _run_quantizer(model, statistics, activations)
    return repair(quantized, activations)


def calibrate_ranges(model: bytes, rows: FloatArray) -> Statistics:
    """Return the range of every tensor that the quantizer wants one for, over some rows.

    Args:
        model: A float .tflite file, as for :func:`quantize`.
        rows: In the file's layout, float32, shape ``(rows, *row shape)``, at least one.

    Raises:
        ExportError: The rows cannot be run.
        MissingExtraError: ai-edge-quantizer is not installed.
    """
    with explain_errors("the model cannot be calibrated"), quiet():
        return _run_calibrator(model, rows)


def _check_rows(model: bytes, calibration: FloatArray) -> None:
    graph = flatbuffer.read(model).subgraphs[0]
    expected = tuple(graph.tensors[graph.inputs[0]].shape[1:])
    if len(calibration) == 0:
        raise ExportError("no calibration rows; int8 scales need about 200 typical ones")
    if calibration.shape[1:] != expected:
        has = calibration.shape[1:]
        raise ExportError(f"calibration rows have shape {has}, the model takes {expected}")


def _fill_in(model: bytes, ranges: Mapping[str, tuple[float, float]]) -> Statistics:
    """Put ranges in the place of those of one row, which says what is wanted and in what shape."""
    graph = flatbuffer.read(model).subgraphs[0]
    row = np.zeros(graph.tensors[graph.inputs[0]].shape, np.float32)
    statistics = calibrate_ranges(model, row)
    for name, known in statistics.items():
        if name not in ranges:
            raise ExportError(f"no range for tensor {name!r}; calibrate this very model")
        for end, value in zip(("min", "max"), ranges[name], strict=True):
            known[end] = np.full_like(known[end], value)
    return statistics


def _recipe(activations: str) -> list[Any]:
    from ai_edge_quantizer import recipe

    named = recipe.static_wi8_ai16 if activations == "int16" else recipe.static_wi8_ai8
    everything = named()[0]
    recipes = [everything]
    for name in _ONE_SCALE:
        recipes.append(copy.deepcopy(everything) | {"operation": name})
        recipes[-1]["op_config"]["weight_tensor_config"]["granularity"] = "TENSORWISE"
    return recipes


def _run_calibrator(model: bytes, rows: FloatArray) -> Statistics:
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import calibrator, recipe_manager
    from ai_edge_quantizer.utils import qsv_utils

    (signature, names), *_ = Interpreter(model_content=model).get_signature_list().items()
    recipes = recipe_manager.RecipeManager()
    recipes.load_quantization_recipe(_recipe("int8"))
    # Quantizer.calibrate() has no way to choose min and max, so its parts are called here.
    ranges = calibrator.Calibrator(model, num_threads=1, qsv_update_func=qsv_utils.min_max_update)
    ranges.calibrate({signature: [{names["inputs"][0]: row[None]} for row in rows]}, recipes)
    statistics: Statistics = ranges.get_model_qsvs()
    return statistics


def _run_quantizer(model: bytes, statistics: Statistics, activations: str) -> bytes:
    from ai_edge_quantizer import quantizer

    result = quantizer.Quantizer(bytearray(model), _recipe(activations)).quantize(
        statistics, enable_progress_report=False
    )
    return bytes(result.quantized_model)


def repair(model: bytes, activations: str = "int8") -> bytes:
    """Return a quantized .tflite file with the operator versions and options of its kernels."""
    versions = INT8_VERSIONS | (INT16_VERSIONS if activations == "int16" else {})
    tree = flatbuffer.read(model)
    for graph in tree.subgraphs:
        for operator in graph.operators:
            name = flatbuffer.operator_name(tree, operator)
            if name == "FULLY_CONNECTED":
                _flatten_dense(graph, operator)
            if name == "RESHAPE":
                _add_reshape_options(graph, operator)
            code = tree.operatorCodes[operator.opcodeIndex]
            code.version = _version(name, code.version, operator, versions)
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


def _version(name: str, written: int, operator: Any, versions: Mapping[str, int]) -> int:
    if name == "FULLY_CONNECTED":
        return 5 if operator.builtinOptions.keepNumDims else versions[name]
    return max(written, versions.get(name, 1))
