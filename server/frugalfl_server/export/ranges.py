"""Which tensor of a float .tflite file is which tensor that clients recorded.

Clients run the PyTorch model, and the converter has fused, folded and turned around much of it. But
a tensor that both have takes the same values on the same row, in whatever layout. So rows of random
numbers go through both, and a tensor of the file is found by its smallest and largest value on each
of them. An operator that was fused with the next one has no tensor in the file, and needs none. An
operator that the converter made several of leaves tensors that nobody recorded: those around bound
them (:mod:`frugalfl_server.export.intervals`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from frugalfl.activation_ranges import row_ranges, with_zero
from frugalfl.errors import ExportError
from frugalfl.task import FloatArray
from frugalfl_server.export.blame import blame
from frugalfl_server.export.explain_error import explain_errors
from frugalfl_server.export.intervals import bounds
from frugalfl_server.export.quantize import calibrate_ranges
from frugalfl_server.export.quiet import quiet
from frugalfl_server.export.to_float_tflite import to_model_layout

if TYPE_CHECKING:
    import torch

#: Ranges by the tensor's name in the file: minimum and maximum.
Ranges = Mapping[str, tuple[float, float]]

#: Rows of small and of large numbers, so that every clamp is seen open and closed.
PROBE_SIZES = np.geomspace(0.05, 20, 16)
#: How far the two runs may differ, as a share of the tensor's larger end on that row.
TOLERANCE = 1e-4


def probe_rows(input_shape: tuple[int, ...]) -> FloatArray:
    """Return rows to tell tensors apart by: normal, one row for each of :data:`PROBE_SIZES`."""
    drawn = np.random.default_rng(0).normal(size=(len(PROBE_SIZES), *input_shape))
    rows: FloatArray = (drawn.T * PROBE_SIZES).T.astype(np.float32)
    return rows


def name_ranges(
    module: torch.nn.Module,
    float_model: bytes,
    input_shape: tuple[int, ...],
    recorded: FloatArray,
) -> Ranges:
    """Give recorded ranges to the tensors of a float file.

    Args:
        module: The model that was converted; left as it was.
        float_model: Its float .tflite file.
        input_shape: Shape of one row as PyTorch takes it.
        recorded: Shape ``(tensors, 2)``, as
            :func:`~frugalfl.activation_ranges.ranges_of` returns it.

    Returns:
        A range for every tensor that the quantizer wants one for. Where several recorded tensors
        have the same values on every probe, the range holds all of theirs.

    Raises:
        ExportError: Ranges of another model, or a tensor of the file that PyTorch does not have,
            and that those around do not bound.
    """
    rows = probe_rows(input_shape)
    with explain_errors("the model cannot be run to find its tensors"), quiet():
        ours = with_zero(row_ranges(copy.deepcopy(module).cpu().float(), rows))
        theirs = [
            calibrate_ranges(float_model, row[None]) for row in to_model_layout(rows, float_model)
        ]
    if len(recorded) != ours.shape[1]:
        raise ExportError(
            f"the ranges are of {len(recorded)} tensors, the model has {ours.shape[1]}; are they "
            "of another model?"
        )
    named = {}
    for name in theirs[0]:
        seen = with_zero(np.array([_range(run[name]) for run in theirs], np.float32))
        alike = _alike(ours, seen)
        if alike.any():
            named[name] = (float(recorded[alike, 0].min()), float(recorded[alike, 1].max()))
    return named | _bound(
        module, float_model, [one for one in theirs[0] if one not in named], named
    )


def _bound(
    module: torch.nn.Module, float_model: bytes, unseen: Sequence[str], named: Ranges
) -> dict[str, tuple[float, float]]:
    """Bound the tensors that nobody recorded; ranges hold 0, as recorded ones do.

    Raises:
        ExportError: One has no bounds.
    """
    found = bounds(float_model, named) if unseen else {}
    for name in unseen:
        if name not in found:
            raise ExportError(
                f"{blame(module, name)} computes something in the converted model that no operator "
                "of the PyTorch model does, so clients cannot give its range; give public "
                'calibration rows, and set calibration = "public"'
            )
    return {name: (min(found[name][0], 0.0), max(found[name][1], 0.0)) for name in unseen}


def _alike(ours: FloatArray, seen: FloatArray) -> Any:
    """Say which of our tensors, ``(rows, tensors, 2)``, have the ranges ``(rows, 2)``."""
    allowed = TOLERANCE * np.abs(seen).max(axis=1)[:, None, None]
    return (np.abs(ours - seen[:, None]) <= allowed).all(axis=(0, 2))


def _range(statistics: Mapping[str, Any]) -> tuple[float, float]:
    return float(statistics["min"].min()), float(statistics["max"].max())
