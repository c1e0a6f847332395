"""Prove an exported model: the same rows through its framework, LiteRT and TFLite-Micro.

Int8 arithmetic is compared with LiteRT's reference kernels: its default ones (XNNPACK) round
differently, so they say nothing about a microcontroller.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from frugalfl.errors import ExportError
from frugalfl.kinds import ACCURACY, Scores, Scoring, scoring_by_targets
from frugalfl.metrics import Measure
from frugalfl.task import Examples, FloatArray, TargetArray
from frugalfl_server.export import gates
from frugalfl_server.export.float_reference import Reference
from frugalfl_server.export.gates import Gate
from frugalfl_server.export.operators import MICRO_OPERATORS, end_types, operators
from frugalfl_server.export.scores import agreement, are_classes, sqnr_db
from frugalfl_server.export.stages import STAGES, Models, StageRuns, run_stages
from frugalfl_server.export.tflite_micro import how_to_install
from frugalfl_server.run.outcomes import FLOAT, INT8, count_outcomes


@dataclass(frozen=True)
class Verification:
    """What was measured, all of it on the host that exported.

    The first stage is :attr:`reference`, then those of
    :data:`~frugalfl_server.export.stages.STAGES`; ``litert_int8`` is LiteRT with its default
    kernels.

    Attributes:
        reference: What the float model was written in: ``pytorch`` or ``keras``.
        rows: Test rows that went through every stage.
        accuracy: By stage, share of rows that are right; None if the task is of a kind that has
            none, and for TFLite-Micro if it does not run on this host.
        agreement: By stage, share of rows with the same largest output as the reference; None
            if targets are not classes, and likewise.
        micro_max_lsb: Largest difference of an output, TFLite-Micro against LiteRT's reference
            kernels, in steps of the output; None without TFLite-Micro.
        micro_bytes_differing: Share of output bytes that differ at all; None likewise.
        float_error: Largest difference of an output of the float file from the reference's, as a
            share of the largest output.
        sqnr_db: Signal-to-noise ratio of the int8 outputs against the float ones, decibels.
        latency_us_host: By LiteRT stage, median microseconds of one inference on this host, not
            on a device.
        arena_bytes: RAM that TFLite-Micro needs on this 64-bit host; a 32-bit device needs less.
        operators: Operators of the int8 model, in the order they run.
        gates: What the model was held against, and held.
        metrics: By name of a measure, its values by stage; None if it is not defined, and
            for TFLite-Micro if it does not run on this host.
        drawn: Whether the rows are drawn, because the server has none
            (:mod:`frugalfl_server.export.drawn`): how good the model is, they cannot tell.
        outcomes: What the float and the int8 model said of these rows, counted.
    """

    reference: str
    rows: int
    accuracy: Mapping[str, float | None]
    agreement: Mapping[str, float | None]
    micro_max_lsb: int | None
    micro_bytes_differing: float | None
    float_error: float
    sqnr_db: float
    latency_us_host: Mapping[str, float]
    arena_bytes: int | None
    operators: tuple[str, ...]
    gates: tuple[Gate, ...] = ()
    metrics: Mapping[str, Mapping[str, float | None]] = dataclasses.field(default_factory=dict)
    drawn: bool = False
    outcomes: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def unchecked(self) -> str | None:
        """What nobody checked and how to have it checked, in one line; None: all was."""
        if self.micro_max_lsb is not None:
            return None
        return f"the model was not checked in TFLite-Micro: {how_to_install()}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; gates and outcomes are kept elsewhere."""
        plain = {**dataclasses.asdict(self), "operators": list(self.operators)}
        del plain["gates"], plain["outcomes"]
        return plain


def verify(
    reference: Reference,
    float_model: bytes,
    int8_model: bytes,
    test: Examples,
    *,
    mcu_model: bytes | None = None,
    max_accuracy_drop: float | None = 0.02,
    min_sqnr_db: float | None = gates.MIN_SQNR_DB,
    max_rows: int = 2000,
    scoring: Scoring | None = None,
) -> Verification:
    """Run the same rows everywhere, and refuse a model that does not hold what it promises.

    Args:
        reference: The model that was exported.
        float_model: Its float .tflite file.
        int8_model: Its int8 .tflite file; LiteRT runs it.
        test: Rows as the reference takes them, and their targets.
        mcu_model: The stripped int8 file; TFLite-Micro runs it. ``int8_model`` if None.
        max_accuracy_drop: How far the int8 accuracy may lie below the reference's, as a share
            (0.02 is two points); None to accept any loss, and any of the first measure.
        min_sqnr_db: Least signal-to-noise ratio of the int8 outputs against the float ones (dB);
            None to accept any.
        max_rows: More rows than this are thinned out evenly, unless the task has metrics of its
            own: of a rare class, thinning would leave too few.
        scoring: What the task is measured by; None: accuracy if targets are classes.

    Raises:
        ExportError: Inputs or outputs that are neither int8 nor int16, an operator without a
            TFLite-Micro kernel, a float file that computes something else than the reference,
            TFLite-Micro more than :data:`~frugalfl_server.export.gates.MAX_LSB` steps off, too
            bad an accuracy or first measure, or too much noise.
        TaskError: A metric raised, or returned something else than a number.
    """
    mcu_model = int8_model if mcu_model is None else mcu_model
    passed = [
        gates.integer_tensors(*end_types(int8_model)),
        gates.known_operators(operators(mcu_model), MICRO_OPERATORS),
    ]
    for gate in passed:
        gate.check()  # a model that fails one of these cannot be run
    test = test if scoring and scoring.own else _thin(test, max_rows)
    runs = run_stages(Models(reference, float_model, int8_model, mcu_model), test.x)
    scoring = scoring or scoring_by_targets(test.y, {})
    result = _measure(reference, runs, test.y, operators(mcu_model), scoring)
    first = None
    if scoring.names and scoring.names[0] != ACCURACY:
        first = scoring.headline, scoring.measures[scoring.headline]
    spread = float(test.y.std()) if first else 0.0
    for gate in _gates(
        result, runs, reference.framework, max_accuracy_drop, min_sqnr_db, first, spread
    ):
        gate.check()
        passed.append(gate)
    return dataclasses.replace(result, gates=tuple(passed))


def _gates(
    result: Verification,
    runs: StageRuns,
    framework: str,
    max_accuracy_drop: float | None,
    min_sqnr_db: float | None,
    first: tuple[str, Measure] | None,
    spread: float,
) -> Iterator[Gate]:
    yield gates.conversion(result.float_error, framework)
    yield gates.same_steps(result.micro_max_lsb, _lost_db(runs), str(runs.reference.dtype))
    exact = result.accuracy[result.reference]
    if max_accuracy_drop is not None and exact is not None:
        shares = result.accuracy.items()
        worst = min(share for stage, share in shares if "int8" in stage and share is not None)
        yield gates.accuracy_drop(exact, worst, max_accuracy_drop, framework)
    if first is not None and max_accuracy_drop is not None:
        name, measure = first
        values = result.metrics[name]
        exact = values[result.reference]
        if exact is not None:
            int8 = [values[stage] for stage in runs.outputs if "int8" in stage]
            yield gates.measure_lost(name, measure, exact, int8, spread, framework)
    if min_sqnr_db is not None:
        yield gates.signal_to_noise(result.sqnr_db, min_sqnr_db)


def _thin(test: Examples, rows: int) -> Examples:
    if len(test) <= rows:
        return test
    chosen = np.linspace(0, len(test) - 1, rows).astype(np.int64)
    return Examples(test.x[chosen], test.y[chosen])


def _measure(
    reference: Reference,
    runs: StageRuns,
    targets: TargetArray,
    ops: tuple[str, ...],
    scoring: Scoring,
) -> Verification:
    exact = runs.outputs[reference.stage]
    classes = runs.outputs if are_classes(targets, exact) else {}
    scores = {stage: scoring.score(values, targets) for stage, values in runs.outputs.items()}
    max_lsb, differing = _bytes_apart(runs)
    stages = (reference.stage, *STAGES)
    return Verification(
        reference=reference.stage,
        rows=len(targets),
        accuracy={s: scores[s].accuracy if s in scores else None for s in stages},
        agreement={s: agreement(classes[s], exact) if s in classes else None for s in stages},
        micro_max_lsb=max_lsb,
        micro_bytes_differing=differing,
        float_error=float_error(exact, runs.outputs["litert_float"]),
        sqnr_db=sqnr_db(runs.outputs["litert_int8_reference"], runs.outputs["litert_float"]),
        latency_us_host=runs.latency_us,
        arena_bytes=runs.micro.arena_bytes if runs.micro else None,
        operators=ops,
        metrics=_by_metric(stages, scores, scoring),
        outcomes=_outcomes(exact, runs, targets, scoring),
    )


def _outcomes(
    exact: FloatArray, runs: StageRuns, targets: TargetArray, scoring: Scoring
) -> dict[str, Any]:
    in_int8 = "tflite_micro_int8" if runs.micro else "litert_int8_reference"
    stages = {FLOAT: exact, INT8: runs.outputs[in_int8]}
    return count_outcomes(scoring.kind, stages, targets)


def _by_metric(
    stages: Sequence[str], scores: Mapping[str, Scores], scoring: Scoring
) -> dict[str, dict[str, float | None]]:
    names = [name for name in scoring.names if name != ACCURACY]
    return {
        name: {s: scores[s].metrics[name] if s in scores else None for s in stages}
        for name in names
    }


def _bytes_apart(runs: StageRuns) -> tuple[int | None, float | None]:
    if runs.micro is None:
        return None, None
    apart = np.abs(np.subtract(runs.micro.outputs, runs.reference, dtype=np.int32))
    return int(apart.max()), float((apart > 0).mean())


def _lost_db(runs: StageRuns) -> float | None:
    if runs.micro is None:
        return None
    exact, stages = runs.outputs["litert_float"], ("litert_int8_reference", "tflite_micro_int8")
    ours, theirs = (sqnr_db(runs.outputs[stage], exact) for stage in stages)
    return ours - theirs


def float_error(exact: FloatArray, converted: FloatArray) -> float:
    """Return the largest difference of an output, as a share of the largest output.

    Args:
        exact: Outputs of the model as it was written.
        converted: Those of the float file, in the same shape.

    Raises:
        ExportError: Their shapes differ.
    """
    if exact.shape != converted.shape:
        raise ExportError(f"converted, the model returns {converted.shape}, not {exact.shape}")
    apart, largest = np.abs(converted - exact).max(), np.abs(exact).max()
    return float(apart / max(largest, np.finfo(np.float32).tiny))
