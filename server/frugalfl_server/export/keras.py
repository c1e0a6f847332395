"""A Keras model through the same proof, and into the same package, as a PyTorch module.

TensorFlow's own converter quantizes it, told to choose as this project does elsewhere: ranges are
the smallest and largest value seen, int8 goes in and comes out, a dense layer has one scale for
all rows of its weights. It sees the model with batch 1: with Keras's open batch it writes
operators that compute a flatten's shape on the device at every inference.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from frugalfl.errors import ExportError, MissingExtraError, UsageError
from frugalfl.task import FloatArray, PublicData
from frugalfl_server.export.device_budget import DeviceBudget
from frugalfl_server.export.explain_error import explain_errors
from frugalfl_server.export.float_reference import Reference
from frugalfl_server.export.foreign_keras import check_keras_file
from frugalfl_server.export.package import ExportResult, prove_and_write
from frugalfl_server.export.quantize import repair
from frugalfl_server.export.quiet import quiet

if TYPE_CHECKING:
    import keras


def export_keras(
    model: keras.Model,
    *,
    name: str,
    public: PublicData,
    folder: Path,
    model_card: Mapping[str, object] | None = None,
    max_accuracy_drop: float | None = 0.02,
    budget: DeviceBudget | None = None,
) -> ExportResult:
    """Convert, quantize, strip, prove and write a Keras model.

    Nothing is written unless the proof holds, and each file appears whole or not at all.

    Args:
        model: Trained float model: one input of a fixed row shape, one output; left as it was.
        name: Of the model, for the C names and the card.
        public: Rows to prove the model with, and rows to calibrate int8 with, as Keras takes
            them (channels last).
        folder: Where the files go; made if it is missing.
        model_card: What the caller knows about the model (JSON values); the measured figures are
            added to it.
        max_accuracy_drop: How far the int8 accuracy may lie below Keras's, as a share; None to
            accept any.
        budget: What the device has; None: no limits.

    Raises:
        ExportError: The model cannot be converted or quantized, or does not pass the proof.
        OverBudgetError: It passes, and does not fit.
        TaskError: The public rows cannot be used.
        MissingExtraError: TensorFlow is not installed.
    """
    test = public.test.check("test data")
    if public.calibration is None:
        raise ExportError("a Keras model needs calibration rows; about 200 typical ones are enough")
    calibration = public.calibration.check("calibration data")
    _check_rows(model, {"test": test.x, "calibration": calibration.x})
    float_model, int8_model = convert_keras(model, calibration.x)
    return prove_and_write(
        of_keras(model),
        float_model,
        int8_model,
        test,
        name=name,
        folder=folder,
        parameters=sum(int(np.prod(weight.shape)) for weight in model.trainable_weights),
        model_card=model_card or {},
        max_accuracy_drop=max_accuracy_drop,
        budget=budget,
    )


def load_keras(path: Path) -> keras.Model:
    """Load a ``.keras`` file.

    Raises:
        UsageError: There is no such file.
        ExportError: It is not a Keras model, or would run code or read files when it is loaded.
        MissingExtraError: TensorFlow is not installed.
    """
    if not path.is_file():
        raise UsageError(f"there is no model {path}")
    _tensorflow()
    try:
        check_keras_file(path)
    except OSError as error:
        raise UsageError(f"cannot read the model {path}: {error.strerror}") from error
    import keras

    with explain_errors(f"{path} cannot be loaded"), quiet():
        return keras.saving.load_model(path, compile=False, safe_mode=True)


def convert_keras(model: keras.Model, calibration: FloatArray) -> tuple[bytes, bytes]:
    """Convert a Keras model, for one row at a time.

    Args:
        model: Float model with one input and one output.
        calibration: Typical rows, shape ``(rows, *row shape)``; about 200 are enough.

    Returns:
        A float .tflite file, and an int8 one; both keep their signature and their names.

    Raises:
        ExportError: TensorFlow cannot convert or quantize the model.
        MissingExtraError: TensorFlow is not installed.
    """
    tensorflow = _tensorflow()
    with explain_errors(f"{model.name} cannot be converted to TFLite"), quiet():
        one_row = _with_batch_one(model)
        float_model = tensorflow.lite.TFLiteConverter.from_keras_model(one_row).convert()
        quantizer = tensorflow.lite.TFLiteConverter.from_keras_model(one_row)
        quantizer.optimizations = [tensorflow.lite.Optimize.DEFAULT]
        quantizer.representative_dataset = lambda: ([row[None]] for row in calibration)
        quantizer.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS_INT8]
        quantizer.inference_input_type = quantizer.inference_output_type = tensorflow.int8
        quantizer._experimental_disable_per_channel_quantization_for_dense_layers = True
        int8_model = quantizer.convert()
    return bytes(float_model), repair(bytes(int8_model))


def of_keras(model: keras.Model) -> Reference:
    """Return a Keras model as a reference; its rows are laid out as the exported files'."""

    def run(x: FloatArray) -> FloatArray:
        return np.asarray(model(x, training=False), dtype=np.float32)

    return Reference("Keras", run, to_model_layout=lambda x, _: x)


def _tensorflow() -> Any:
    try:
        with quiet():
            import keras
            import tensorflow
    except ImportError as error:
        raise MissingExtraError("Exporting a Keras model", "keras") from error
    if keras.config.backend() != "tensorflow":
        raise UsageError(
            f"Keras runs on {keras.config.backend()} here, and only its TensorFlow backend "
            "converts to TFLite; set KERAS_BACKEND=tensorflow"
        )
    return tensorflow


def _check_rows(model: keras.Model, rows: Mapping[str, FloatArray]) -> None:
    """Refuse a model whose row shape is open or not one, and rows of another shape."""
    shape = getattr(model, "input_shape", None)
    if not isinstance(shape, tuple) or None in shape[1:]:
        raise ExportError(
            f"{model.name} takes {shape}; it must be built, with one input whose row shape is fixed"
        )
    for what, x in rows.items():
        if x.shape[1:] != shape[1:]:
            raise ExportError(f"{what} rows have shape {x.shape[1:]}, the model takes {shape[1:]}")


def _with_batch_one(model: keras.Model) -> keras.Model:
    import keras

    row = keras.Input(batch_shape=(1, *model.input_shape[1:]))
    return keras.Model(row, model(row))
