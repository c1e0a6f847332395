"""Figures that compare one model's outputs with another's, or with the truth."""

from __future__ import annotations

import statistics
import time

import numpy as np

from frugalfl.task import FloatArray, TargetArray
from frugalfl_edge.interpreter import Array, Interpreter

#: Stop timing after this many runs, or after this long (s), whichever comes first.
TIMED_RUNS = 200
TIMED_S = 0.5


def are_classes(targets: TargetArray, outputs: FloatArray) -> bool:
    """Say whether the targets are class numbers and the outputs one score a class."""
    whole = np.issubdtype(targets.dtype, np.integer) and targets.ndim == 1
    return bool(whole and outputs.ndim == 2 and outputs.shape[1] > 1)


def agreement(outputs: FloatArray, exact: FloatArray) -> float:
    """Return the share of rows whose largest output is the same in both, ``(rows, classes)``."""
    return float((outputs.argmax(axis=1) == exact.argmax(axis=1)).mean())


def sqnr_db(outputs: FloatArray, exact: FloatArray) -> float:
    """Return the signal-to-noise ratio ``10 log10(sum exact² / sum error²)``, decibels."""
    signal = np.square(exact, dtype=np.float64).sum()
    noise = np.square(np.subtract(outputs, exact, dtype=np.float64)).sum()
    tiny = np.finfo(np.float64).tiny
    return float(10 * (np.log10(max(signal, tiny)) - np.log10(max(noise, tiny))))


def latency_us(interpreter: Interpreter, row: Array) -> float:
    """Return the median time of one inference on this host, microseconds, Python's share included.

    Args:
        interpreter: Its first run warms it up and is not counted.
        row: One input with the model's batch, shape and dtype.
    """
    interpreter.run(row)
    times_ns: list[int] = []
    end = time.monotonic() + TIMED_S
    while not times_ns or (len(times_ns) < TIMED_RUNS and time.monotonic() < end):
        start = time.perf_counter_ns()
        interpreter.run(row)
        times_ns.append(time.perf_counter_ns() - start)
    return statistics.median(times_ns) / 1000
