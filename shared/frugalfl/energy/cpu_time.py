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
from frugalfl.energy.reading import Reading


class CpuTimeMeter:
    """E = processor seconds x W per busy core; idle energy = idle W x wall seconds, kept apart."""

    def __init__(self, profile: DeviceProfile) -> None:
        self._profile = profile

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
            window.readings = (self._reading(window.cpu_s, window.wall_s),)

    def _reading(self, cpu_s: float, wall_s: float) -> Reading:
        profile = self._profile
        return Reading(
            component="cpu",
            energy_j=cpu_s * profile.busy_w_per_core,
            idle_j=None if profile.idle_w is None else profile.idle_w * wall_s,
            measured=False,
            method="cpu-time",
            source=f"{profile.name}: {profile.source}",
            scope="process",
            uncertainty_rel=profile.uncertainty_rel,
        )
