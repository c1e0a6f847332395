"""Export a Keras model that lies in a file, with rows that lie in others."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from frugalfl.errors import UsageError
from frugalfl.foreign_arrays import read_arrays
from frugalfl.task import Examples, PublicData
from frugalfl_server.export.device_budget import DeviceBudget
from frugalfl_server.export.keras import export_keras, load_keras
from frugalfl_server.export.package import ExportResult

#: What the name of a Keras model's file ends in.
SUFFIX = ".keras"


def export_keras_file(
    path: Path,
    calibration: Path | None,
    test: Path | None,
    out: Path | None,
    budget: DeviceBudget | None = None,
) -> ExportResult:
    """Export a ``.keras`` file.

    Args:
        path: The model.
        calibration: An .npz file of about 200 typical rows ``x``, as the model takes them, and
            their targets ``y`` if they have any.
        test: The same, of rows to prove the model with; by default the calibration rows.
        out: Where to write; by default a folder beside the file, with its name.
        budget: What the device has; None: no limits.

    Raises:
        UsageError: A file that is missing or holds no rows.
        ExportError: The model cannot be converted, does not pass its checks or does not fit.
        MissingExtraError: TensorFlow is not installed.
    """
    if calibration is None:
        raise UsageError(f"{path} needs --calibration ROWS.npz: x, about 200 typical rows")
    typical = read_rows(calibration)
    public = PublicData(typical if test is None else read_rows(test), typical)
    folder = path.with_suffix("") if out is None else out
    return export_keras(
        load_keras(path),
        name=path.stem,
        public=public,
        folder=folder,
        model_card={"made_from": path.name},
        budget=budget,
    )


def read_rows(path: Path) -> Examples:
    """Read rows ``x`` and targets ``y`` of an .npz file; without ``y``, rows are their own targets.

    Raises:
        UsageError: No such file, or not one of arrays with an ``x`` of numbers.
    """
    try:
        arrays = read_arrays(path)
        x = arrays["x"].astype(np.float32)
        return Examples(x, arrays.get("y", x))
    except OSError as error:
        raise UsageError(f"cannot read the rows {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        why = f" ({error})" if isinstance(error, ValueError) else ""
        raise UsageError(
            f"{path} holds no rows{why}: it must be an .npz file with x, and y if there are targets"
        ) from error
