"""Inference on the device: numpy and a TFLite interpreter, nothing else.

>>> from frugalfl_edge import predict
>>> scores = predict("model_int8_edge.tflite", rows)  # doctest: +SKIP
"""

from frugalfl_edge.about import read_about
from frugalfl_edge.interpreter import Interpreter, Kernels, ModelSource, TensorInfo
from frugalfl_edge.predict import dequantize, predict, quantize, run_rows

__all__ = [
    "Interpreter",
    "Kernels",
    "ModelSource",
    "TensorInfo",
    "dequantize",
    "predict",
    "quantize",
    "read_about",
    "run_rows",
]
