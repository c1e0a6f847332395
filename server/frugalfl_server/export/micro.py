"""Run a model in the interpreter that microcontrollers run: TFLite-Micro, compiled for this host.

The kernels are the portable ones and their int8 arithmetic is that of a Cortex-M, bit for bit.
The arena is not: pointers are twice as wide here, so a 32-bit device needs less.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from frugalfl.errors import ExportError, MissingExtraError
from frugalfl_edge.interpreter import Array
from frugalfl_server.export.flatbuffer import ALIGNMENT
from frugalfl_server.export.quiet import Chatter, quiet

#: A model that needs more than this does not run on a microcontroller.
ARENA_LIMIT_BYTES = 1 << 26


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
    """Run rows through TFLite-Micro.

    Args:
        model: A .tflite file with one input, one output and batch 1.
        x: Rows in the input's own numbers, shape ``(rows, *input shape without batch)``, at
            least one.

    Raises:
        MissingExtraError: tflite-micro is not installed; it exists for Linux on x86-64 only.
        ExportError: TFLite-Micro refuses the model; its own words are in the message.
    """
    with quiet() as chatter:
        try:
            reported = _reported_arena(model, x[:1], chatter)
            arena_bytes = _loadable_arena(model, reported)
            interpreter = _open(model, arena_bytes)
            outputs = np.concatenate([_infer(interpreter, row[None]) for row in x])
        except RuntimeError as error:
            said = chatter.last_line() or error
            raise ExportError(f"TFLite-Micro refuses the model: {said}") from error
    return MicroRun(outputs, arena_bytes)


def _reported_arena(model: bytes, row: Array, chatter: Chatter) -> int:
    interpreter = _open(model, ARENA_LIMIT_BYTES)
    _infer(interpreter, row)
    interpreter.print_allocations()
    found = re.findall(r"Arena allocation total (\d+) bytes", chatter.text())
    if not found:
        raise RuntimeError("no arena size was reported")
    return int(found[-1])


def _loadable_arena(model: bytes, reported: int) -> int:
    """Go up from the reported arena, which leaves temporary buffers out, to one that loads.

    Never below it: an arena that is far too small crashes the process.
    """
    arena = reported
    while not _loads(model, arena):
        arena += ALIGNMENT
    return arena


def _loads(model: bytes, arena_bytes: int) -> bool:
    try:
        _open(model, arena_bytes)
    except RuntimeError:
        return False
    return True


def _open(model: bytes, arena_bytes: int) -> Any:
    try:
        from tflite_micro.python.tflite_micro import runtime
    except ImportError as error:
        raise MissingExtraError("TFLite-Micro (Linux on x86-64 only)", "server") from error
    return runtime.Interpreter.from_bytes(model, arena_size=arena_bytes)


def _infer(interpreter: Any, row: Array) -> Array:
    # The arena holds the input too, and an inference may overwrite it: set it every time.
    interpreter.set_input(row, 0)
    interpreter.invoke()
    output: Array = interpreter.get_output(0)
    return output
