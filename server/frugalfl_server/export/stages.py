"""The same rows through every stage of an export: the framework, LiteRT, TFLite-Micro."""

from __future__ import annotations

from dataclasses import dataclass

from frugalfl.errors import MissingExtraError
from frugalfl.task import FloatArray
from frugalfl_edge import Interpreter, dequantize, quantize, run_rows
from frugalfl_edge.interpreter import Array
from frugalfl_server.export.float_reference import Reference
from frugalfl_server.export.quiet import quiet
from frugalfl_server.export.scores import latency_us
from frugalfl_server.export.tflite_micro import MicroRun, run_micro

#: What a model goes through after the framework that it was written in.
STAGES = ("litert_float", "litert_int8", "litert_int8_reference", "tflite_micro_int8")


@dataclass(frozen=True)
class Models:
    """One model in every form.

    Attributes:
        reference: The float model as it was written.
        float_model: Its float .tflite file.
        int8_model: Its int8 .tflite file; LiteRT runs it.
        mcu_model: The stripped int8 file; TFLite-Micro runs it.
    """

    reference: Reference
    float_model: bytes
    int8_model: bytes
    mcu_model: bytes


@dataclass(frozen=True)
class StageRuns:
    """What every stage made of the same rows.

    Attributes:
        outputs: By stage, the framework's first, real values; without ``tflite_micro_int8`` where
            that does not run.
        latency_us: By LiteRT stage, median microseconds of one inference on this host.
        reference: LiteRT's reference kernels, in steps of the output.
        micro: TFLite-Micro's run, likewise.
    """

    outputs: dict[str, FloatArray]
    latency_us: dict[str, float]
    reference: Array
    micro: MicroRun | None


def run_stages(models: Models, x: FloatArray) -> StageRuns:
    """Run rows through every stage.

    Args:
        models: The model in every form.
        x: Rows as the framework takes them.

    Raises:
        ExportError: Outputs that are not finite, or a model that TFLite-Micro refuses.
    """
    with quiet():
        in_float, in_int8 = Interpreter(models.float_model), Interpreter(models.int8_model)
        in_reference = Interpreter(models.int8_model, kernels="reference")
    rows = models.reference.to_model_layout(x, models.float_model)
    steps = quantize(rows, in_int8.input)
    reference, micro = run_rows(in_reference, steps), _try_micro(models.mcu_model, steps)
    outputs = {
        models.reference.stage: models.reference.outputs(x),
        "litert_float": run_rows(in_float, rows),
        "litert_int8": dequantize(run_rows(in_int8, steps), in_int8.output),
        "litert_int8_reference": dequantize(reference, in_int8.output),
    }
    if micro:
        outputs["tflite_micro_int8"] = dequantize(micro.outputs, in_int8.output)
    latency = {
        "litert_float": latency_us(in_float, rows[:1]),
        "litert_int8": latency_us(in_int8, steps[:1]),
    }
    return StageRuns(outputs, latency, reference, micro)


def _try_micro(model: bytes, steps: Array) -> MicroRun | None:
    try:
        return run_micro(model, steps)
    except MissingExtraError:
        return None
