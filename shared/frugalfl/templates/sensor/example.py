"""Recordings that are made up, to begin without any; `python example.py FOLDER` writes CSVs."""

from __future__ import annotations

import csv
import sys
import zlib
from pathlib import Path

import numpy as np

RATE_HZ, SECONDS, PASSES = 50, 12, 2
#: What each state looks like: strength (g), pitch (Hz), roughness (g).
STATES = {
    "off": (0.0, 0.0, 0.01),
    "idle": (0.1, 5.0, 0.03),
    "running": (0.5, 12.0, 0.08),
    "jammed": (0.25, 3.0, 0.4),
}


def recording(name: str) -> dict[str, np.ndarray]:
    """Make up what one accelerometer recorded; every machine is mounted and tuned differently."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    gain, pitch = rng.uniform(0.8, 1.2, 3), rng.uniform(0.9, 1.1)
    parts = [_part(rng, state, gain, pitch) for _ in range(PASSES) for state in STATES]
    samples = np.round(np.concatenate(parts), 4)  # as finely as such a sensor resolves
    states = np.repeat([*STATES] * PASSES, RATE_HZ * SECONDS)
    return {"ax": samples[:, 0], "ay": samples[:, 1], "az": samples[:, 2], "state": states}


def _part(rng: np.random.Generator, state: str, gain: np.ndarray, pitch: float) -> np.ndarray:
    strength, hertz, roughness = STATES[state]
    time = np.arange(RATE_HZ * SECONDS)[:, None] / RATE_HZ
    turn = 2 * np.pi * hertz * pitch * time + rng.uniform(0, 2 * np.pi, 3)
    swing = strength * np.sin(turn) + rng.normal(0, roughness, turn.shape)
    return swing * gain + np.array([0.0, 0.0, 1.0])  # gravity


def main(folder: Path, machines: int = 6) -> None:
    """Write public.csv and machine-0.csv to machine-5.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("public", *(f"machine-{number}" for number in range(machines))):
        columns = recording(name)
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(columns)
            table.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
