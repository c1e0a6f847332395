"""Prove an exported model: the same rows through its framework, LiteRT and TFLite-Micro.

Int8 arithmetic is compared with LiteRT's reference kernels: its default ones (XNNPACK) round
differently, so they say nothing about a microcontroller.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from frugalfl.errors import ExportError
from frugalfl.task import Examples, FloatArray, TargetArray
from frugalfl_server.export.operators import check_operators, operators
from frugalfl_server.export.reference import Reference
from frugalfl_server.export.scores import accuracy, are_classes, sqnr_db
from frugalfl_server.export.stages import STAGES, Models, StageRuns, run_stages

#: TFLite-Micro and LiteRT's reference kernels may differ by this many steps of the activations ...
MAX_LSB = {"int8": 2, "int16": 3}
#: ... or by more where TFLite-Micro is as near to the float model: within this many decibels.
MAX_SQNR_LOSS_DB = 0.5
#: The float file may differ from the framework by this share of the largest output.
MAX_FLOAT_ERROR = 1e-3


@dataclass(frozen=True)
class Verification:
    """What was measured, all of it on the host that exported.

    The first stage is :attr:`reference`, then those of
    :data:`~frugalfl_server.export.stages.STAGES`; ``litert_int8`` is LiteRT with its default
    kernels.

    Attributes:
        reference: What the float model was written in: ``pytorch`` or ``keras``.
        rows: Test rows that went through every stage.
        accuracy: By stage, share of rows whose largest output is their class; None where the
            targets are not classes, and for TFLite-Micro where it does not run on this host.
        agreement: By stage, share of rows with the same largest output as the reference; None
            likewise.
        micro_max_lsb: Largest difference of an output, TFLite-Micro against LiteRT's reference
            kernels, in steps of the output; None without TFLite-Micro.
        micro_bytes_differing: Share of output bytes that differ at all; None likewise.
        sqnr_db: Signal-to-noise ratio of the int8 outputs against the float ones, decibels.
        latency_us_host: By LiteRT stage, median microseconds of one inference on this host, not
            on a device.
        arena_bytes: RAM that TFLite-Micro needs on this 64-bit host; a 32-bit device needs less.
        operators: Operators of the int8 model, in the order they run.
    """

    reference: str
    rows: int
    accuracy: Mapping[str, float | None]
    agreement: Mapping[str, float | None]
    micro_max_lsb: int | None
    micro_bytes_differing: float | None
    sqnr_db: float
    latency_us_host: Mapping[str, float]
    arena_bytes: int | None
    operators: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**dataclasses.asdict(self), "operators": list(self.operators)}


def verify(
    reference: Reference,
    float_model: bytes,
    int8_model: bytes,
    test: Examples,
    *,
    mcu_model: bytes | None = None,
    max_accuracy_drop: float | None = 0.02,
    max_rows: int = 2000,
) -> Verification:
    """Run the same rows everywhere, and refuse a model that does not hold what it promises.

    Args:
        reference: The model that was exported.
        float_model: Its float .tflite file.
        int8_model: Its int8 .tflite file; LiteRT runs it.
        test: Rows as the reference takes them, and their targets.
        mcu_model: The stripped int8 file; TFLite-Micro runs it. ``int8_model`` if None.
        max_accuracy_drop: How far the int8 accuracy may lie below the reference's, as a share
            (0.02 is two points); None to accept any.
        max_rows: More rows than this are thinned out evenly.

    Raises:
        ExportError: Inputs or outputs that are neither int8 nor int16, an operator without a
            TFLite-Micro kernel, a float file that computes something else than the reference, a
            TFLite-Micro that does (:data:`MAX_LSB`), or too low an accuracy.
    """
    mcu_model = int8_model if mcu_model is None else mcu_model
    check_operators(mcu_model)
    test = _thin(test, max_rows)
    runs = run_stages(Models(reference, float_model, int8_model, mcu_model), test.x)
    exact = runs.outputs[reference.stage]
    _check_conversion(exact, runs.outputs["litert_float"])
    result = _measured(reference, runs, test.y, operators(mcu_model))
    _check_micro(result, runs)
    if max_accuracy_drop is not None:
        _check_accuracy(result, max_accuracy_drop, reference.framework)
    return result


def _thin(test: Examples, rows: int) -> Examples:
    if len(test) <= rows:
        return test
    chosen = np.linspace(0, len(test) - 1, rows).astype(np.int64)
    return Examples(test.x[chosen], test.y[chosen])


def _measured(
    reference: Reference, runs: StageRuns, targets: TargetArray, ops: tuple[str, ...]
) -> Verification:
    exact = runs.outputs[reference.stage]
    scored = runs.outputs if are_classes(targets, exact) else {}
    max_lsb, differing = _bytes_apart(runs)
    stages = (reference.stage, *STAGES)
    return Verification(
        reference=reference.stage,
        rows=len(targets),
        accuracy=_by_stage(stages, scored, targets),
        agreement=_by_stage(stages, scored, exact.argmax(axis=-1)),
        micro_max_lsb=max_lsb,
        micro_bytes_differing=differing,
        sqnr_db=sqnr_db(runs.outputs["litert_int8_reference"], runs.outputs["litert_float"]),
        latency_us_host=runs.latency_us,
        arena_bytes=runs.micro.arena_bytes if runs.micro else None,
        operators=ops,
    )


def _by_stage(
    stages: Sequence[str], outputs: Mapping[str, FloatArray], truth: TargetArray
) -> dict[str, float | None]:
    known = {stage: accuracy(values, truth) for stage, values in outputs.items()}
    return {stage: known.get(stage) for stage in stages}


def _bytes_apart(runs: StageRuns) -> tuple[int | None, float | None]:
    if runs.micro is None:
        return None, None
    apart = np.abs(np.subtract(runs.micro.outputs, runs.reference, dtype=np.int32))
    return int(apart.max()), float((apart > 0).mean())


def _check_conversion(exact: FloatArray, converted: FloatArray) -> None:
    if exact.shape != converted.shape:
        raise ExportError(f"converted, the model returns {converted.shape}, not {exact.shape}")
    error, limit = np.abs(converted - exact).max(), MAX_FLOAT_ERROR * np.abs(exact).max()
    if error > limit:
        raise ExportError(f"converted, the float model is off by {error:.2g} (limit {limit:.2g})")


def _check_micro(result: Verification, runs: StageRuns) -> None:
    """Refuse TFLite-Micro's outputs if they are worse than those of the reference kernels.

    The two round sums differently, so a step now and then is expected, and a layer with large
    weights turns one step of its input into several. Neither is nearer to the float model.
    """
    numbers = str(runs.reference.dtype)
    if result.micro_max_lsb is None or result.micro_max_lsb <= MAX_LSB[numbers]:
        return
    noise = sqnr_db(runs.outputs["tflite_micro_int8"], runs.outputs["litert_float"])
    if noise < result.sqnr_db - MAX_SQNR_LOSS_DB:
        raise ExportError(
            f"TFLite-Micro is {result.micro_max_lsb} {numbers} steps off LiteRT's reference "
            f"kernels, at {noise:.1f} dB against {result.sqnr_db:.1f} dB; a microcontroller "
            "would compute something else"
        )


def _check_accuracy(result: Verification, max_drop: float, framework: str) -> None:
    known = {stage: share for stage, share in result.accuracy.items() if share is not None}
    worst = min((share for stage, share in known.items() if "int8" in stage), default=0.0)
    if known and worst < known[result.reference] - max_drop:
        raise ExportError(
            f"int8 accuracy {worst:.1%} is more than {max_drop:.1%} below {framework}'s "
            f"{known[result.reference]:.1%}; give more typical calibration rows or fine-tune longer"
        )
