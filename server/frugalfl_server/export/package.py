"""The whole chain: a trained module to a folder that a device, or a firmware project, can use."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frugalfl.atomic import write_atomically, write_json
from frugalfl.errors import ExportError, OverBudgetError
from frugalfl.kinds import Scoring, scoring_by_targets
from frugalfl.metrics import Metric
from frugalfl.task import Examples, FloatArray, PublicData
from frugalfl_edge import Interpreter, TensorInfo
from frugalfl_server.export import gates
from frugalfl_server.export.budget_gates import budget_gates
from frugalfl_server.export.c_array import c_array
from frugalfl_server.export.device_budget import DeviceBudget
from frugalfl_server.export.float_reference import Reference, of_pytorch
from frugalfl_server.export.gates import Gate
from frugalfl_server.export.headroom import quantize_with_room
from frugalfl_server.export.lint import Advice, blame_code, lint
from frugalfl_server.export.macs import count_file_macs, count_parameters
from frugalfl_server.export.measure import DeviceCost
from frugalfl_server.export.operators import float_operators
from frugalfl_server.export.quantize import quantize
from frugalfl_server.export.quiet import quiet
from frugalfl_server.export.ranges import name_ranges
from frugalfl_server.export.strip import strip
from frugalfl_server.export.to_float_tflite import convert, to_model_layout
from frugalfl_server.export.verify import Verification, verify
from frugalfl_server.export.write_about import with_about

if TYPE_CHECKING:
    import torch

_TOOLS = (
    "ai-edge-litert", "ai-edge-quantizer", "keras", "litert-torch", "tensorflow-cpu",
    "tflite-micro", "torch",
)  # fmt: skip


@dataclass(frozen=True)
class ExportResult:
    """What an export made and measured.

    Attributes:
        paths: The files by name: ``model_float.tflite``; ``model_int8.tflite`` for
            microcontrollers; ``model_int8_edge.tflite`` for LiteRT devices, with names and
            signature; ``model_data.h`` and ``model_data.c``; ``model_card.json``.
        float_bytes: Size of the float file.
        int8_bytes: Size of the microcontroller's file.
        arena_bytes: RAM that TFLite-Micro needs on this 64-bit host; None if it does not run.
        parameters: Trainable numbers.
        macs: Multiply-accumulate operations of one row.
        verification: The same rows in the framework, LiteRT and TFLite-Micro.
        advice: What in the model costs more than it has to, and what to write instead.
        budget: What the device has.
        gates: What the model was held against, and held.
    """

    paths: Mapping[str, Path]
    float_bytes: int
    int8_bytes: int
    arena_bytes: int | None
    parameters: int
    macs: int
    verification: Verification
    advice: tuple[Advice, ...]
    budget: DeviceBudget
    gates: tuple[Gate, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            **{one.name: getattr(self, one.name) for one in dataclasses.fields(self)},
            "budget": dataclasses.asdict(self.budget),
            "gates": [dataclasses.asdict(gate) for gate in self.gates],
            "paths": {name: str(path) for name, path in self.paths.items()},
            "verification": self.verification.to_dict(),
            "advice": [one.to_dict() for one in self.advice],
        }


def export_model(
    module: torch.nn.Module,
    *,
    name: str,
    public: PublicData,
    folder: Path,
    model_card: Mapping[str, object] | None = None,
    max_accuracy_drop: float | None = 0.02,
    ranges: FloatArray | None = None,
    activations: str = "int8",
    budget: DeviceBudget | None = None,
    metrics: Mapping[str, Metric] | None = None,
    scoring: Scoring | None = None,
    about: Mapping[str, Any] | None = None,
    min_sqnr_db: float | None = gates.MIN_SQNR_DB,
    drawn: bool = False,
) -> ExportResult:
    """Convert, quantize, strip, prove and write a model.

    Nothing is written unless the proof holds, and each file appears whole or not at all.

    Args:
        module: Trained float module: one input, one output; left as it was.
        name: Of the model, for the C names and the card.
        public: Rows to prove the model with, and rows to calibrate with if ``ranges`` is None.
        folder: Where the files go; made if it is missing.
        model_card: What the caller knows about the model (JSON values); the measured figures are
            added to it.
        max_accuracy_drop: How far the int8 accuracy may lie below PyTorch's, as a share; None to
            accept any loss, and any of the first measure.
        ranges: What clients recorded of the activations, shape ``(tensors, 2)``
            (:mod:`frugalfl.activation_ranges`).
        activations: ``int8`` or ``int16``; weights are int8, and so the files are called.
        budget: What the device has; None: no limits.
        metrics: The task's own, by name; not used with ``scoring``.
        scoring: What the task is measured by; None: ``metrics``, and accuracy if targets are
            classes.
        about: What travels with the model (:attr:`frugalfl.Task.about`).
        min_sqnr_db: Least signal-to-noise ratio of the int8 outputs against the float ones (dB).
        drawn: Whether the test rows are drawn, because there are none.

    Raises:
        ExportError: There is nothing to calibrate with, or the model cannot be converted or
            quantized, or does not pass the proof; if the author's code is known to be the
            reason, with the line and what to write instead.
        OverBudgetError: It passes, and does not fit.
        TaskError: The public rows cannot be used, or a metric failed.
    """
    test = public.test.check("public test data")
    shape = test.x.shape[1:]
    advice = lint(module, shape)
    scoring = scoring or scoring_by_targets(test.y, metrics or {})
    with blame_code(advice):
        float_model = convert(module, shape)
        if ranges is not None:
            named = name_ranges(module, float_model, shape, ranges)
            others = to_model_layout(test.x, float_model)
            least_db = -math.inf if min_sqnr_db is None else min_sqnr_db
            int8_model = quantize_with_room(float_model, named, others, least_db, activations)
        elif public.calibration is not None:
            rows = public.calibration.check("public calibration data")
            typical = to_model_layout(rows.x, float_model)
            int8_model = quantize(float_model, typical, activations)
        else:
            raise ExportError("there are neither calibration rows nor ranges; give one of them")
        return prove_and_write(
            of_pytorch(module),
            float_model,
            int8_model,
            test,
            name=name,
            folder=folder,
            parameters=count_parameters(module),
            model_card=model_card or {},
            max_accuracy_drop=max_accuracy_drop,
            budget=budget,
            advice=advice,
            scoring=scoring,
            about=about,
            min_sqnr_db=min_sqnr_db,
            drawn=drawn,
        )


def prove_and_write(
    reference: Reference,
    float_model: bytes,
    int8_model: bytes,
    test: Examples,
    *,
    name: str,
    folder: Path,
    parameters: int,
    model_card: Mapping[str, object],
    max_accuracy_drop: float | None,
    budget: DeviceBudget | None = None,
    advice: tuple[Advice, ...] = (),
    scoring: Scoring | None = None,
    about: Mapping[str, Any] | None = None,
    min_sqnr_db: float | None = gates.MIN_SQNR_DB,
    drawn: bool = False,
) -> ExportResult:
    """Strip, prove and write a quantized model, whatever its float model was written in.

    Args:
        reference: The float model as it was written.
        float_model: Its float .tflite file.
        int8_model: Its int8 .tflite file.
        test: Rows to prove the model with, as the reference takes them.
        name: Of the model, for the C names and the card.
        folder: Where the files go; made if it is missing.
        parameters: Trainable numbers of the float model.
        model_card: What the caller knows about the model (JSON values).
        max_accuracy_drop: How far the int8 accuracy may lie below the reference's, as a share;
            None to accept any.
        budget: What the device has; None: no limits.
        advice: What lint said about it.
        scoring: What the task is measured by; None: accuracy if targets are classes.
        about: What travels with the model, in the card and in the files with a signature.
        min_sqnr_db: As of :func:`export_model`.
        drawn: As of :func:`export_model`.

    Raises:
        ExportError: The model does not pass the proof.
        OverBudgetError: It passes, and does not fit.
    """
    if about:
        float_model, int8_model = (with_about(one, about) for one in (float_model, int8_model))
        model_card = {**model_card, "about": dict(about)}
    mcu_model = strip(int8_model)
    proof = verify(
        reference,
        float_model,
        int8_model,
        test,
        mcu_model=mcu_model,
        max_accuracy_drop=max_accuracy_drop,
        min_sqnr_db=min_sqnr_db,
        scoring=scoring,
    )
    proof = dataclasses.replace(proof, drawn=drawn)
    cost = DeviceCost(len(mcu_model), proof.arena_bytes, count_file_macs(float_model))
    budget = budget or DeviceBudget()
    passed = (*proof.gates, *_device_gates(mcu_model, cost, budget))
    header, source = c_array(mcu_model, name, proof.arena_bytes)
    contents = {
        "model_float.tflite": float_model,
        "model_int8.tflite": mcu_model,
        "model_int8_edge.tflite": int8_model,
        "model_data.h": header.encode(),
        "model_data.c": source.encode(),
    }
    result = ExportResult(
        paths={file: folder / file for file in (*contents, "model_card.json")},
        float_bytes=len(float_model),
        int8_bytes=len(mcu_model),
        arena_bytes=proof.arena_bytes,
        parameters=parameters,
        macs=cost.macs,
        verification=proof,
        advice=advice,
        budget=budget,
        gates=passed,
    )
    for file, content in contents.items():
        write_atomically(folder / file, content, shared=True)
    write_json(folder / "model_card.json", _card(name, result, contents, model_card),
               shared=True)  # fmt: skip
    return result


def _device_gates(model: bytes, cost: DeviceCost, budget: DeviceBudget) -> list[Gate]:
    """Hold the model against its device, and name everything that it has too much of at once."""
    found = budget_gates(cost, budget)
    missing = gates.reasons(found)
    if missing:
        raise OverBudgetError("; ".join(missing))
    if budget.target and not budget.target.fpu:
        in_float = gates.float_operators(float_operators(model), budget.target.name)
        in_float.check()
        found.append(in_float)
    return found


def _card(
    name: str, result: ExportResult, contents: Mapping[str, bytes], given: Mapping[str, object]
) -> dict[str, Any]:
    measured = {key: value for key, value in result.to_dict().items() if key != "paths"}
    files = {
        file: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for file, content in contents.items()
    }
    tensors = _tensors(contents["model_int8_edge.tflite"])
    return {
        **given, "name": name, **tensors, **measured, "files": files, "made_with": _versions(),
    }  # fmt: skip


def _tensors(model: bytes) -> dict[str, Any]:
    """Return what firmware must know to fill the input and to read the output."""
    with quiet():
        loaded = Interpreter(model)
    return {"input": _plain(loaded.input), "output": _plain(loaded.output)}


def _plain(tensor: TensorInfo) -> dict[str, Any]:
    return {**dataclasses.asdict(tensor), "dtype": str(tensor.dtype)}


def _versions() -> dict[str, str | None]:
    return {tool: _version(tool) for tool in _TOOLS}


def _version(tool: str) -> str | None:
    try:
        return metadata.version(tool)
    except metadata.PackageNotFoundError:
        return None
