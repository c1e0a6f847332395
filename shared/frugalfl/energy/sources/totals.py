"""From what a device shows to a running total: counters that wrap, and watts over time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path


class Counter:
    """A meter's own counter of joules, continued where it wraps."""

    def __init__(self, read_j: Callable[[], float], range_j: float | None = None) -> None:
        """Take the first figure.

        Args:
            read_j: Reads the counter (J).
            range_j: Where it starts again from 0 (J); ``None``: it never does.

        Raises:
            OSError: It cannot be read.
            ValueError: It does not hold a number.
        """
        self._read_j, self._range_j = read_j, range_j
        self._last_j, self._total_j = read_j(), 0.0

    def __call__(self) -> float:
        """Return the joules since the first figure (J)."""
        now = self._read_j()
        last, self._last_j = self._last_j, now
        step = now - last
        if step < 0 and self._range_j is not None:
            step += self._range_j
        if step < 0:
            raise ValueError(f"the counter fell from {last:.6g} to {now:.6g} J")
        self._total_j += step
        return self._total_j


class Integral:
    """Watts over time: the trapezoid rule between samples, on the monotonic clock."""

    def __init__(
        self,
        read_w: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
        least_s: float = 0.0,
    ) -> None:
        """Take the first sample.

        Args:
            read_w: Reads the power (W).
            clock: Seconds.
            least_s: Between samples that cost a process each: sooner than this after the last
                one, its figure is taken to hold on (s).

        Raises:
            OSError: It cannot be read.
            ValueError: It does not hold a power.
        """
        self._read_w, self._clock, self._least_s = read_w, clock, least_s
        self._total_j = 0.0
        self._w: float | None = _power(read_w())
        self._at = self._sampled = clock()

    def __call__(self) -> float:
        """Return the joules since the first sample (J)."""
        now = self._clock()
        if self._w is not None and now - self._sampled < self._least_s:
            power = self._w
        else:
            # Until the next good sample nothing is known: a gap is never bridged.
            last, self._w = self._w, None
            self._w = _power(self._read_w())
            self._sampled = now
            if last is None:
                self._at = now
                raise ValueError("a sample is missing before this one")
            power = (last + self._w) / 2
        self._total_j += power * (now - self._at)
        self._at = now
        return self._total_j


def _power(watts: float) -> float:
    if not (math.isfinite(watts) and watts >= 0):
        raise ValueError(f"{watts} W is no power")
    return watts


def number(path: Path) -> float:
    """Read a file that holds one number.

    Raises:
        OSError: The file cannot be read.
        ValueError: It holds something else.
    """
    text = path.read_bytes()[:64].decode("ascii", "replace").strip()
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{path} holds {text!r}, not a number")
    return value


def word(path: Path) -> str:
    """Read a file that holds one short text; empty if there is none to read."""
    try:
        return path.read_bytes()[:128].decode("utf-8", "replace").strip("\0\n ")
    except OSError:
        return ""


def children(folder: Path) -> list[Path]:
    """Return what is in a folder, in order; nothing if there is no such folder."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
