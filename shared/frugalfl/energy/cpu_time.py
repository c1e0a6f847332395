"""Estimate: processor time of this process times the power of a device profile.

Processor time, not load: it does not change when a neighbour on the same host is busy, so the
clients of one simulation never add up to more than they used.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from frugalfl.energy.meter import Window
from frugalfl.energy.profiles import DeviceProfile


class CpuTimeMeter:
    """E = processor seconds x W per busy core; idle energy = idle W x wall seconds, kept apart."""

    method = "cpu-time"
    measured = False

    def __init__(self, profile: DeviceProfile) -> None:
        self._profile = profile
        self.source = f"{profile.name}: {profile.source}"
        self.uncertainty_rel: float | None = profile.uncertainty_rel

    @contextmanager
    def window(self, phase: str) -> Iterator[Window]:
        """Meter the ``with`` block; the window is filled even when the block raises."""
        window = Window(phase, start_unix_s=time.time())
        wall, cpu = time.monotonic(), time.process_time()
        try:
            yield window
        finally:
            window.cpu_s = time.process_time() - cpu
            window.wall_s = time.monotonic() - wall
            window.energy_j = window.cpu_s * self._profile.busy_w_per_core
            idle_w = self._profile.idle_w
            window.idle_j = None if idle_w is None else idle_w * window.wall_s
