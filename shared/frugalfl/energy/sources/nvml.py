"""NVIDIA GPUs: the total energy counter of NVML (Volta and later), if ``pynvml`` is installed.

The counter is of a whole GPU. Our part is one over the number of processes that compute on it, as
NVML lists them; a GPU that this process does not compute on gives no reading.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from frugalfl.energy.sources import FoundSources, Share, Source
from frugalfl.energy.sources.totals import Counter

#: NVIDIA states 5 % for its power readings.
_UNCERTAINTY = 0.05
_BASELINE_S = 0.5


def find(root: Path) -> FoundSources:
    """Look for GPUs that count joules."""
    try:
        import pynvml
    except ImportError:
        why = "pynvml is not installed; for NVIDIA GPUs: pip install nvidia-ml-py"
        return FoundSources("nvml", (), why)
    try:
        pynvml.nvmlInit()
        sources = [_source(pynvml, number) for number in range(int(pynvml.nvmlDeviceGetCount()))]
    except (OSError, ValueError, pynvml.NVMLError) as error:
        return FoundSources("nvml", (), f"NVML: {error}")
    note = ", ".join(source.source for source in sources) or "NVML sees no GPU"
    return FoundSources("nvml", tuple(sources), note)


def _source(pynvml: Any, number: int) -> Source:
    device = pynvml.nvmlDeviceGetHandleByIndex(number)

    def read_j() -> float:
        try:
            return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(device)) * 1e-3  # from mJ
        except pynvml.NVMLError as error:
            raise OSError(f"NVML: {error}") from None

    name, share = f"GPU {number} total energy counter", _share(pynvml, device)
    total, idle_s = Counter(read_j), _BASELINE_S
    return Source("gpu", "nvml", name, "board", _UNCERTAINTY, total, idle_s=idle_s, share=share)


def _share(pynvml: Any, device: Any) -> Share:
    def share() -> float | None:
        try:
            processes = pynvml.nvmlDeviceGetComputeRunningProcesses(device)
        except pynvml.NVMLError:
            return None
        computing = [process.pid for process in processes]
        return 1 / len(computing) if os.getpid() in computing else None

    return share
