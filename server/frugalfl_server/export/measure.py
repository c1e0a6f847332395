"""What a model costs once it is compiled, found by compiling it.

Neither the file's size nor the arena depends on what the weights are, so the ranges of random
rows do, and an untrained model costs what the trained one will.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from frugalfl.errors import MissingExtraError
from frugalfl_edge import Interpreter
from frugalfl_server.export.macs import count_file_macs
from frugalfl_server.export.quantize import quantize
from frugalfl_server.export.quiet import quiet
from frugalfl_server.export.strip import strip
from frugalfl_server.export.tflite_micro import run_micro
from frugalfl_server.export.to_float_tflite import convert, to_model_layout

if TYPE_CHECKING:
    import torch

_ROWS = 4


@dataclass(frozen=True)
class DeviceCost:
    """What one model needs of a device.

    Attributes:
        file_bytes: Size of the microcontroller's .tflite file (B).
        arena_bytes: RAM that TFLite-Micro needs on this 64-bit host (B); None if it does not
            run.
        macs: Multiply-accumulates of one inference.
    """

    file_bytes: int
    arena_bytes: int | None
    macs: int


def measure(module: torch.nn.Module, input_shape: tuple[int, ...]) -> DeviceCost:
    """Convert and quantize a model with random rows, and run it in TFLite-Micro.

    Args:
        module: Left as it was.
        input_shape: Shape of one row as PyTorch takes it, without the batch.

    Raises:
        ExportError: The model cannot be converted, or TFLite-Micro refuses it.
    """
    rows = np.random.default_rng(0).standard_normal((_ROWS, *input_shape)).astype(np.float32)
    float_model = convert(module, input_shape)
    int8_model = quantize(float_model, to_model_layout(rows, float_model))
    mcu_model = strip(int8_model)
    return DeviceCost(len(mcu_model), _arena_bytes(mcu_model), count_file_macs(float_model))


def _arena_bytes(model: bytes) -> int | None:
    with quiet():
        taken = Interpreter(model).input
    try:
        return run_micro(model, np.zeros(taken.shape, taken.dtype)).arena_bytes
    except MissingExtraError:
        return None
