"""``checkpoints/ranges.json``: the merged ranges, beside the model that they belong to."""

from __future__ import annotations

import hashlib

import numpy as np

from frugalfl.blocks import Parameters
from frugalfl.errors import ExportError, RunError
from frugalfl.task import FloatArray
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.file_times import short_path

#: Where a run keeps them.
FILE = "checkpoints/ranges.json"


def keep_ranges(run: RunDirectory, parameters: Parameters, ranges: FloatArray) -> None:
    """Write merged ranges into a run, with the fingerprint of the model that they belong to.

    Args:
        run: The run.
        parameters: The model.
        ranges: Shape ``(tensors, 2)``.
    """
    known = {"model": fingerprint(parameters), "ranges": ranges.tolist()}
    run.write_json(FILE, known)


def kept_ranges(run: RunDirectory, parameters: Parameters) -> FloatArray:
    """Read the merged ranges of a run's model.

    Raises:
        ExportError: The run has none, or those of another model.
        RunError: The file is damaged.
    """
    if not (run.path / FILE).is_file():
        raise ExportError(
            f"{run.path} has no calibration ranges: clients are asked for them after the last "
            "round, unless export is false; run it to its end with --resume, or give typical rows: "
            f"frugalfl export {short_path(run.path)} --calibration rows.npz"
        )
    known = run.read_json(FILE)
    try:
        ranges: FloatArray = np.array(known["ranges"], np.float32).reshape(-1, 2)
        model = known["model"]
    except (KeyError, ValueError, TypeError) as error:
        raise RunError(f"{run.path / FILE} holds no ranges; it is damaged") from error
    if model != fingerprint(parameters):
        raise ExportError(
            f"the calibration ranges in {run.path / FILE} are of another model than the newest "
            "checkpoint; run it to its end with --resume, or give typical rows: frugalfl export "
            f"{short_path(run.path)} --calibration rows.npz"
        )
    return ranges


def fingerprint(parameters: Parameters) -> str:
    """Return a digest of a model: names, shapes and bits, whatever their order."""
    digest = hashlib.sha256()
    for name in sorted(parameters):
        digest.update(repr((name, parameters[name].shape)).encode())
        digest.update(np.ascontiguousarray(parameters[name], "<f4").tobytes())
    return digest.hexdigest()
