"""Room in the ranges that clients gave, if other rows reach beyond them.

Values beyond a range saturate, and one row that does may cost more than all rounding within it. A
net of 33 parameters, calibrated by three clients of 64 rows, had 22.7 dB on 200 other rows, and
37.6 dB with these rows' own ranges. So if there is too much noise, ranges are tried that are wider
by round factors: twice as wide costs up to 6 dB, and saturation may cost far more.
"""

from __future__ import annotations

import logging

import numpy as np

from frugalfl.task import FloatArray
from frugalfl_edge import Interpreter, dequantize, run_rows
from frugalfl_edge import quantize as to_integers
from frugalfl_server.export.quantize import quantize
from frugalfl_server.export.quiet import quiet
from frugalfl_server.export.ranges import Ranges
from frugalfl_server.export.scores import sqnr_db

_log = logging.getLogger(__name__)
#: How many times as wide ranges are made.
FACTORS = (1.0, 1.25, 1.5, 2.0)
#: Rows that tell: as many as settle the ranges of a small model.
_ROWS = 256


def quantize_with_room(
    float_model: bytes,
    ranges: Ranges,
    rows: FloatArray,
    least_db: float,
    activations: str = "int8",
) -> bytes:
    """Quantize within ranges, or within wider ones if those have too much noise.

    Args:
        float_model: A float .tflite file.
        ranges: Of its tensors, by name.
        rows: That nobody gave ranges of, in the file's layout, shape ``(rows, *row shape)``.
        least_db: Signal-to-noise ratio of the outputs that will do (dB).
        activations: int8 or int16.

    Returns:
        The file of the narrowest ranges that do; if none do, of those with the least noise.

    Raises:
        ExportError: As :func:`~frugalfl_server.export.quantize.quantize`.
    """
    tried: list[tuple[float, float, bytes]] = []
    for factor in FACTORS:
        wider = {name: (factor * low, factor * high) for name, (low, high) in ranges.items()}
        model = quantize(float_model, wider, activations)
        tried.append((noise_db(float_model, model, rows), factor, model))
        if tried[-1][0] >= least_db:
            break
    decibels, factor, model = max(tried, key=lambda one: one[0])
    if factor > 1:
        _log.info(
            f"ranges: the server's rows reach beyond the clients'; {factor:g} times as wide, the "
            f"signal-to-noise ratio is {decibels:.1f} dB instead of {tried[0][0]:.1f}"
        )
    return model


def noise_db(float_model: bytes, int8_model: bytes, rows: FloatArray) -> float:
    """Return the signal-to-noise ratio of a quantized file's outputs against the float file's (dB).

    Args:
        float_model: A float .tflite file.
        int8_model: Made of it.
        rows: In the files' layout; at most 256 of them are used, evenly chosen.
    """
    some = rows[np.linspace(0, len(rows) - 1, min(len(rows), _ROWS)).astype(np.int64)]
    with quiet():
        exact, coarse = Interpreter(float_model), Interpreter(int8_model, kernels="reference")
    steps = run_rows(coarse, to_integers(some, coarse.input))
    return sqnr_db(dequantize(steps, coarse.output), run_rows(exact, some))
