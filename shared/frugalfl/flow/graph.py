"""The graphs of a TFLite file, as far as what they compute depends on it; all else is refused.

Field numbers are those of TensorFlow Lite's schema (tensorflow/lite/schema/schema.fbs). What could
make the runtime compute anything but these operators on these tensors - variables, sparse and
quantised tensors, shapes known at run time only, data outside of the tables, custom operators'
bytes - is not read but refused, so that nothing that runs escapes the check.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from frugalfl.errors import ProgramError
from frugalfl.flow.flat_tables import FlatTable, root

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

#: Numbers of a program, by the schema's ``TensorType``; no bytes, texts, halves, quantised ones.
TYPES = {0: "<f4", 2: "<i4", 4: "<i8", 6: "?"}
#: Most operators and tensors of a graph, axes of a tensor, and graphs of a file.
_MOST, _MOST_AXES, _MOST_GRAPHS = 1 << 14, 8, 4
_MOST_ENTRIES = 1 << 28


@dataclass(frozen=True)
class GraphTensor:
    """One tensor: its shape, its numbers' type, and its values if it is a constant."""

    shape: Shape
    kind: int
    value: Array | None


@dataclass(frozen=True)
class Operator:
    """One operator: numbers of the tensors that it takes (-1: none) and makes."""

    code: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options_type: int
    options: FlatTable | None


@dataclass(frozen=True)
class Graph:
    """One signature: its tensors, its operators in their order, inputs and outputs by name."""

    name: str
    tensors: tuple[GraphTensor, ...]
    operators: tuple[Operator, ...]
    inputs: dict[str, int]
    outputs: dict[str, int]


def read_graphs(model: bytes) -> list[Graph]:
    """Return the graph of every signature of a .tflite file.

    Raises:
        ProgramError: The file is damaged, or has what no training program has.
    """
    if model[4:8] != b"TFL3":
        raise ProgramError(
            f"the training program does not run here: its {len(model)} B are no .tflite file"
        )
    tree = root(model)
    _need(not tree.has(6) and not tree.has(5), "metadata, which a training program has not")
    graphs, signatures = tree.tables(2), tree.tables(7)
    _need(0 < len(graphs) <= _MOST_GRAPHS, f"{len(graphs)} graphs")
    _need(
        sorted(one.whole(4, "I") for one in signatures) == list(range(len(graphs))),
        f"{len(graphs)} graphs and {len(signatures)} signatures, which are not one a graph",
    )
    codes = [_code(one) for one in tree.tables(1)]
    buffers = tree.tables(4)
    return [_graph(graphs[one.whole(4, "I")], one, codes, buffers) for one in signatures]


def _need(holds: bool, what: str) -> None:
    if not holds:
        raise ProgramError(f"the training program's file has {what}; it is refused")


def _code(table: FlatTable) -> int:
    """Return an operator's number; the schema has two fields for it, and the larger counts."""
    _need(not table.has(1), f"a custom operator {table.content(1)[:40]!r}")
    return max(table.whole(0, "b"), table.whole(3))


def _graph(
    table: FlatTable, signature: FlatTable, codes: list[int], buffers: list[FlatTable]
) -> Graph:
    name = _text(signature.content(2))
    tensors, operators = table.tables(0), table.tables(3)
    _need(max(len(tensors), len(operators)) <= _MOST, f"a graph of {len(operators)} operators")
    inputs = _name_tensors(signature.tables(0), table.wholes(1), name)
    outputs = _name_tensors(signature.tables(1), table.wholes(2), name)
    held = tuple(_tensor(one, buffers) for one in tensors)
    read = tuple(_operator(one, codes, len(held)) for one in operators)
    for place in (*inputs.values(), *outputs.values()):
        _need(0 <= place < len(held), f"a tensor number {place} of {len(held)}")
    return Graph(name, held, read, inputs, outputs)


def _name_tensors(tables: list[FlatTable], listed: list[int], graph: str) -> dict[str, int]:
    named = {_text(one.content(0)): one.whole(1, "I") for one in tables}
    _need(
        len(named) == len(tables) and sorted(named.values()) == sorted(listed),
        f"a signature {graph!r} whose tensors are not its graph's",
    )
    return named


def _tensor(table: FlatTable, buffers: list[FlatTable]) -> GraphTensor:
    shape, kind = tuple(table.wholes(0)), table.whole(1, "b")
    _need(kind in TYPES, f"a tensor of type {kind}; only float32, int32, int64 and bool are read")
    _need(not table.whole(5, "B"), "a variable, which keeps what it holds")
    _need(not table.has(6) and not table.has(9), "a sparse tensor or a variant")
    _need(-1 not in table.wholes(7), "a tensor whose shape is known at run time only")
    quantised = table.table(4)
    _need(
        quantised is None or not any(quantised.has(field) for field in (2, 3, 4, 5)),
        "a quantised tensor",
    )
    _need(
        len(shape) <= _MOST_AXES and all(axis >= 1 for axis in shape)
        and prod(shape) <= _MOST_ENTRIES,
        f"a tensor of shape {shape}",
    )  # fmt: skip
    number = table.whole(2, "I")
    _need(number < len(buffers), f"a tensor of buffer {number} of {len(buffers)}")
    return GraphTensor(shape, kind, _constant(buffers[number], shape, kind) if number else None)


def _constant(buffer: FlatTable, shape: Shape, kind: int) -> Array | None:
    _need(not buffer.has(1) and not buffer.has(2), "numbers outside of its tables")
    data = buffer.content(0)
    if not data:
        return None
    dtype = np.dtype(TYPES[kind])
    _need(
        len(data) == prod(shape) * dtype.itemsize, f"{len(data)} B for a constant of shape {shape}"
    )
    return np.frombuffer(data, dtype).reshape(shape)


def _operator(table: FlatTable, codes: list[int], tensors: int) -> Operator:
    number = table.whole(0, "I")
    _need(number < len(codes), f"an operator of kind {number} of {len(codes)}")
    inputs, outputs = tuple(table.wholes(1)), tuple(table.wholes(2))
    _need(
        all(-1 <= one < tensors for one in inputs) and all(0 <= one < tensors for one in outputs),
        f"an operator of tensors {(*inputs, *outputs)} of {tensors}",
    )
    hidden = bool(table.content(5)) or bool(table.content(7)) or bool(table.wholes(8))
    hidden = hidden or table.has(9) or table.has(10) or bool(table.whole(11, "B"))
    _need(not hidden, "an operator with more than tensors and builtin options")
    return Operator(codes[number], inputs, outputs, table.whole(3, "B"), table.table(4))


def _text(content: bytes) -> str:
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError as error:
        raise ProgramError("the training program's file has a name that is no text") from error
    _need(0 < len(text) <= 40 and text.isprintable(), f"a name {text[:40]!r}")
    return text
