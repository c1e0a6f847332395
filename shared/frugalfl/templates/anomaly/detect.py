"""Tell worn bearings from healthy ones with the exported int8 model: `detect.py runs/latest`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from task import TEST_STAND, recording, spectra

from frugalfl_edge import predict


def scores(model: Path, seeds: Iterable[int], worn: bool) -> np.ndarray:
    """Return how unusual each window of some bearings is."""
    bands = np.concatenate([spectra(recording(seed, worn)) for seed in seeds])
    return ((predict(model, bands) - bands) ** 2).mean(axis=1)


def main(run: Path) -> None:
    """Set the alarm above nearly all healthy windows, then look at bearings it has not seen."""
    model = run / "model" / "model_int8_edge.tflite"
    alarm = np.quantile(scores(model, TEST_STAND, worn=False), 0.99)
    for word, worn in (("healthy", False), ("worn", True)):
        found = scores(model, range(2000, 2010), worn) > alarm
        print(f"{word}: alarm in {found.mean():.1%} of {len(found):,} windows")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
