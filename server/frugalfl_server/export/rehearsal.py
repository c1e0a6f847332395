"""The whole export of an untrained model, for what would stop the trained one's.

Nothing less finds every fault: what an operator becomes depends on its options, on its neighbours
and on the converter's version. Shapes decide all of it, so that weights need no training. What
depends on weights is not looked at: accuracy, steps between two kernels. Noise is: if a kernel
computes something else than the quantizer means, it shows at any weights.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from frugalfl.activation_ranges import ranges_of
from frugalfl.errors import ExportError
from frugalfl.targets import Target
from frugalfl.task import FloatArray
from frugalfl_edge import Interpreter, run_rows
from frugalfl_server.export import gates
from frugalfl_server.export.blame import blame
from frugalfl_server.export.float_reference import of_pytorch
from frugalfl_server.export.headroom import noise_db
from frugalfl_server.export.operators import (
    MICRO_OPERATORS,
    end_types,
    first_made_by,
    float_operators,
    operators,
)
from frugalfl_server.export.quantize import calibrate_ranges, quantize
from frugalfl_server.export.quiet import quiet
from frugalfl_server.export.ranges import Ranges, name_ranges
from frugalfl_server.export.stages import Models, run_stages
from frugalfl_server.export.strip import strip
from frugalfl_server.export.to_float_tflite import convert, to_model_layout
from frugalfl_server.export.verify import float_error

if TYPE_CHECKING:
    import torch


def rehearse(
    module: torch.nn.Module,
    rows: FloatArray,
    *,
    federated: bool = True,
    activations: str = "int8",
    target: Target | None = None,
) -> float:
    """Convert, quantize, strip and run a model as its export will.

    Args:
        module: Trained or not; left as it was.
        rows: A few, as PyTorch takes them; values matter little.
        federated: Whether clients will give the ranges, and not public rows.
        activations: Of the int8 model.
        target: What it is for.

    Returns:
        Signal-to-noise ratio of the outputs on these rows, if they give the ranges (dB).

    Raises:
        ExportError: The export would fail, whatever the weights become.
        MissingExtraError: What exports is not installed.
    """
    shape = rows.shape[1:]
    float_model = convert(module, shape)
    _check_operators(module, float_model)
    _check_conversion(module, float_model, rows)
    if federated:
        name_ranges(
            module, float_model, shape, ranges_of(copy.deepcopy(module).cpu().float(), rows)
        )
    int8_model = quantize(float_model, _any_ranges(float_model, rows), activations)
    mcu_model = strip(int8_model)
    gates.integer_tensors(*end_types(int8_model)).check()
    _check_operators(module, int8_model)
    if target and not target.fpu:
        _check_hardware(module, int8_model, target)
    run_stages(Models(of_pytorch(module), float_model, int8_model, mcu_model), rows)
    typical = to_model_layout(rows, float_model)
    return noise_db(float_model, quantize(float_model, typical, activations), typical)


def _any_ranges(float_model: bytes, rows: FloatArray) -> Ranges:
    """Give every tensor the same range: what untrained layers put out may be next to nothing."""
    wanted = calibrate_ranges(float_model, to_model_layout(rows[:1], float_model))
    return dict.fromkeys(wanted, (-1.0, 1.0))


def _check_conversion(module: torch.nn.Module, float_model: bytes, rows: FloatArray) -> None:
    """Compare the float file with the model: the converter may be wrong without a word."""
    reference = of_pytorch(module)
    with quiet():
        loaded = Interpreter(float_model)
    converted = run_rows(loaded, reference.to_model_layout(rows, float_model))
    gates.conversion(float_error(reference.outputs(rows), converted), "PyTorch").check()


def _check_operators(module: torch.nn.Module, model: bytes) -> None:
    """Name the module that an operator without a kernel comes from."""
    found = operators(model)
    reason = gates.known_operators(found, MICRO_OPERATORS).reason
    if reason is not None:
        missing = set(found) - MICRO_OPERATORS
        raise ExportError(f"{blame(module, first_made_by(model, missing))}: {reason}")


def _check_hardware(module: torch.nn.Module, model: bytes, target: Target) -> None:
    """Name the module that would compute in float32 on a core that cannot."""
    in_float = float_operators(model)
    reason = gates.float_operators(in_float, target.name).reason
    if reason is not None:
        raise ExportError(f"{blame(module, first_made_by(model, in_float))}: {reason}")
