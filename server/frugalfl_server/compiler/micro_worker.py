"""Make one step of a training program in TFLite-Micro: a script for a process of its own.

python micro_worker.py MODEL.tflite INPUTS.npz RESULT.npz OUTPUTS
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from frugalfl_server.export.tflite_micro_worker import ARENA_LIMIT_BYTES, smallest_arena

Array = npt.NDArray[Any]


def main(model_path: str, inputs_path: str, result_path: str, outputs: str) -> int:
    """Run the step, search the arena, save both; 1 if TFLite-Micro refuses the model."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # crashes are expected here, dumps not wanted
    model = Path(model_path).read_bytes()
    with np.load(inputs_path, allow_pickle=False) as saved:
        inputs = [saved[f"arr_{i}"] for i in range(len(saved.files))]
    try:
        made = step(model, ARENA_LIMIT_BYTES, inputs, int(outputs))
    except RuntimeError:
        return 1  # TFLite-Micro has said why on stderr
    arena_bytes = smallest_arena(lambda size: step(model, size, inputs, 0))
    np.savez(result_path, *made, arena_bytes=arena_bytes)
    return 0


def step(model: bytes, arena_bytes: int, inputs: Sequence[Array], outputs: int) -> list[Array]:
    """Set all inputs, which the arena holds and a step overwrites, and run once."""
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(model, arena_size=arena_bytes)
    for number, value in enumerate(inputs):
        interpreter.set_input(value, number)
    interpreter.invoke()
    return [interpreter.get_output(number) for number in range(outputs)]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
