"""Run a model in TFLite-Micro: a script for a process of its own, started by ``micro``.

    python tflite_micro_worker.py MODEL.tflite ROWS.npy RESULT.npz

An arena that is too small does not always end in an error: kernels that need temporary memory
crash the process. The smallest arena is therefore searched in forks of this one. (The
interpreter's own report leaves temporary memory out, and was 33 % too low for a layer norm.)
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

#: A model that needs more than this does not run on a microcontroller.
ARENA_LIMIT_BYTES = 1 << 26
ARENA_STEP_BYTES = 16


def main(model_path: str, rows_path: str, result_path: str) -> int:
    """Run the rows, search the arena, save both; 1 if TFLite-Micro refuses the model."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # crashes are expected here, dumps not wanted
    model, rows = Path(model_path).read_bytes(), np.load(rows_path, allow_pickle=False)
    try:
        outputs = infer(model, ARENA_LIMIT_BYTES, rows)
    except RuntimeError:
        return 1  # TFLite-Micro has said why on stderr
    arena_bytes = smallest_arena(lambda size: infer(model, size, rows[:1]))
    np.savez(result_path, outputs=outputs, arena_bytes=arena_bytes)
    return 0


def infer(model: bytes, arena_bytes: int, rows: Array) -> Array:
    """Run rows of the model's own numbers, one by one."""
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(model, arena_size=arena_bytes)
    outputs = []
    for row in rows:
        # The arena holds the input too, and an inference may overwrite it: set it every time.
        interpreter.set_input(row[None], 0)
        interpreter.invoke()
        outputs.append(interpreter.get_output(0))
    return np.concatenate(outputs)


def smallest_arena(attempt: Callable[[int], object]) -> int:
    """Bisect the smallest arena, bytes, that an attempt with a model comes back with."""
    high = ARENA_STEP_BYTES
    while not survives(attempt, high):
        high *= 2
    low = high // 2
    while high - low > ARENA_STEP_BYTES:
        middle = (low + high) // 2 // ARENA_STEP_BYTES * ARENA_STEP_BYTES
        low, high = (low, middle) if survives(attempt, middle) else (middle, high)
    return high


def survives(attempt: Callable[[int], object], arena_bytes: int) -> bool:
    """Make one attempt in a fork, and say whether it came back."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
        try:
            attempt(arena_bytes)
        except RuntimeError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
