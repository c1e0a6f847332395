"""Run a model in the interpreter that microcontrollers run: TFLite-Micro, compiled for this host.

The kernels are the portable ones and their int8 arithmetic is that of a Cortex-M, bit for bit.
The arena is not: pointers are twice as wide here, so a 32-bit device needs less.
"""

from __future__ import annotations

import importlib.util
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from frugalfl.errors import ExportError, MissingExtraError
from frugalfl_edge.interpreter import Array


@dataclass(frozen=True)
class MicroRun:
    """What TFLite-Micro made of some rows.

    Attributes:
        outputs: Shape ``(rows, *output shape without batch)``, the output's own dtype.
        arena_bytes: Smallest arena the model loads and runs with, on this 64-bit host: an upper
            bound for a 32-bit device.
    """

    outputs: Array
    arena_bytes: int


def run_micro(model: bytes, x: Array) -> MicroRun:
    """Run rows through TFLite-Micro, in a process of its own.

    Args:
        model: A .tflite file with one input, one output and batch 1.
        x: Rows in the input's own numbers, shape ``(rows, *input shape without batch)``, at
            least one.

    Raises:
        MissingExtraError: tflite-micro is not installed; it exists for Linux on x86-64 only.
        ExportError: TFLite-Micro refuses the model; its own words are in the message.
    """
    check_installed()
    with tempfile.TemporaryDirectory(prefix="frugalfl-") as name:
        folder = Path(name)
        (folder / "model.tflite").write_bytes(model)
        np.save(folder / "rows.npy", x)
        run_worker(
            Path(__file__).with_name("tflite_micro_worker.py"),
            folder / "model.tflite", folder / "rows.npy", folder / "result.npz",
        )  # fmt: skip
        with np.load(folder / "result.npz", allow_pickle=False) as result:
            return MicroRun(result["outputs"], int(result["arena_bytes"]))


def is_installed() -> bool:
    """Whether models can be run in TFLite-Micro here."""
    return importlib.util.find_spec("tflite_micro") is not None


def check_installed() -> None:
    """Go on only if TFLite-Micro is installed.

    Raises:
        MissingExtraError: tflite-micro is not installed; it exists for Linux on x86-64 only.
    """
    if not is_installed():
        raise MissingExtraError("TFLite-Micro (Linux on x86-64 only)", "micro")


def how_to_install() -> str:
    """Say in a few words how a model gets checked in TFLite-Micro that was not."""
    if (platform.system(), platform.machine()) == ("Linux", "x86_64"):
        return "pip install 'frugalfl[micro]' and export again"
    return "it exists for Linux on x86-64 only: export there, with 'frugalfl[micro]'"


def run_worker(worker: Path, *arguments: object) -> None:
    """Run a script that loads a model in TFLite-Micro, in a process of its own.

    Raises:
        ExportError: It failed or crashed; the last thing it said is in the message.
    """
    # -P: the worker's folder must not be searched for modules.
    command = [sys.executable, "-P", str(worker), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode == 0:
        return
    said = ["it did not say why", *filter(None, map(str.strip, done.stderr.splitlines()))]
    if done.returncode < 0:
        said.append(f"it crashed with signal {-done.returncode}")
    raise ExportError(f"TFLite-Micro refuses the model: {said[-1]}")
