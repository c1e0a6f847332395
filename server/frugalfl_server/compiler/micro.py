"""A training program in the interpreter that microcontrollers run.

TFLite-Micro knows no signatures: it runs a file's first graph, and its inputs by number. The graph
of a signature is therefore taken out into a file of its own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from frugalfl.errors import ExportError
from frugalfl.program import Program
from frugalfl_server.export import flatbuffer
from frugalfl_server.export.operators import MICRO_OPERATORS
from frugalfl_server.export.tflite_micro import check_installed, run_worker

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class MicroModel:
    """One signature as a file for TFLite-Micro.

    Attributes:
        model: The .tflite file.
        inputs: Names of its inputs, in their order.
        outputs: Names of its outputs, in their order.
        operators: In the order they run, repeats included.
    """

    model: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    operators: tuple[str, ...]


@dataclass(frozen=True)
class MicroStep:
    """What TFLite-Micro made of one step.

    Attributes:
        outputs: By name.
        arena_bytes: Smallest arena the step runs with, on this 64-bit host: an upper bound for a
            32-bit device.
    """

    outputs: dict[str, Array]
    arena_bytes: int


def micro_model(program: Program, signature: str = "train") -> MicroModel:
    """Take one signature out of a program.

    Raises:
        ExportError: The program has no such signature.
    """
    tree = flatbuffer.read(program.model)
    found = [one for one in tree.signatureDefs if _text(one.signatureKey) == signature]
    if not found:
        raise ExportError(f"the training program has no signature {signature!r}")
    graph = tree.subgraphs[found[0].subgraphIndex]
    names = {one.tensorIndex: _text(one.name) for one in found[0].inputs}
    inputs = tuple(names[index] for index in graph.inputs)
    # An output may be an input's tensor, or two outputs one tensor: by place, not by number.
    made = {one.tensorIndex: _text(one.name) for one in found[0].outputs}
    outputs = tuple(made[index] for index in graph.outputs)
    tree.subgraphs, tree.signatureDefs = [graph], None
    flatbuffer.drop_unused(tree)
    operators = tuple(flatbuffer.operator_name(tree, one) for one in graph.operators)
    return MicroModel(flatbuffer.write(tree), inputs, outputs, operators)


def gaps(program: Program, signature: str = "train") -> tuple[str, ...]:
    """Return the operators of a signature that TFLite-Micro lacks, sorted."""
    return tuple(sorted(set(micro_model(program, signature).operators) - MICRO_OPERATORS))


def run_micro_step(program: Program, given: Mapping[str, Array]) -> MicroStep:
    """Make one training step in TFLite-Micro, in a process of its own.

    Args:
        program: With the signature ``train``.
        given: Inputs by name.

    Raises:
        MissingExtraError: tflite-micro is not installed; it exists for Linux on x86-64 only.
        ExportError: TFLite-Micro refuses the program; its own words are in the message.
    """
    check_installed()
    taken = micro_model(program)
    with tempfile.TemporaryDirectory(prefix="frugalfl-") as name:
        folder = Path(name)
        (folder / "model.tflite").write_bytes(taken.model)
        np.savez(folder / "inputs.npz", *(np.asarray(given[one]) for one in taken.inputs))
        run_worker(
            Path(__file__).with_name("micro_worker.py"),
            folder / "model.tflite", folder / "inputs.npz", folder / "result.npz",
            len(taken.outputs),
        )  # fmt: skip
        with np.load(folder / "result.npz", allow_pickle=False) as result:
            outputs = {one: result[f"arr_{i}"] for i, one in enumerate(taken.outputs)}
            return MicroStep(outputs, int(result["arena_bytes"]))


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name
