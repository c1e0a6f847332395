"""Writes TFLite files operator by operator, as somebody would who means harm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from frugalfl_server.export import flatbuffer

Array = npt.NDArray[Any]
_KINDS = {"f": schema.TensorType.FLOAT32, "i": schema.TensorType.INT32, "b": schema.TensorType.BOOL}
_DTYPES = {"f": np.float32, "i": np.int32, "b": np.bool_}


class GraphWriter:
    """One signature; every method returns the number of the tensor that it adds."""

    def __init__(self, name: str = "train") -> None:
        self._name = name
        self._tree = schema.ModelT()
        self._tree.version, self._tree.operatorCodes = 3, []
        self._tree.buffers = [schema.BufferT()]
        self._graph = schema.SubGraphT()
        self._graph.tensors, self._graph.operators = [], []
        self._inputs: dict[str, int] = {}
        self._outputs: dict[str, int] = {}

    def tensor(self, shape: Sequence[int], kind: str = "f", buffer: int = 0) -> int:
        """Add one that an operator will make; ``kind``: f, i or b."""
        one = schema.TensorT()
        one.shape, one.type, one.buffer, one.hasRank = list(shape), _KINDS[kind], buffer, True
        self._graph.tensors.append(one)
        return len(self._graph.tensors) - 1

    def input(self, name: str, shape: Sequence[int], kind: str = "f") -> int:
        """Add an input."""
        self._inputs[name] = self.tensor(shape, kind)
        return self._inputs[name]

    def constant(self, values: Any, kind: str = "f") -> int:
        """Add a constant."""
        array = np.asarray(values, _DTYPES[kind])
        buffer = schema.BufferT()
        buffer.data = array.tobytes()
        self._tree.buffers.append(buffer)
        return self.tensor(array.shape, kind, len(self._tree.buffers) - 1)

    def operator(
        self, name: str, inputs: Sequence[int], shape: Sequence[int], kind: str = "f",
        options: str = "", **values: Any,
    ) -> int:  # fmt: skip
        """Add an operator that makes one tensor; ``options``: their name in the schema."""
        made = self.tensor(shape, kind)
        one = schema.OperatorT()
        one.inputs, one.outputs = list(inputs), [made]
        one.opcodeIndex = self._code(getattr(schema.BuiltinOperator, name))
        if options:
            one.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            one.builtinOptions = getattr(schema, f"{options}T")()
            for key, value in values.items():
                setattr(one.builtinOptions, key, value)
        self._graph.operators.append(one)
        return made

    def output(self, name: str, number: int) -> None:
        """Return a tensor by this name."""
        self._outputs[name] = number

    def file(self) -> bytes:
        """Return the file."""
        self._graph.inputs = list(self._inputs.values())
        self._graph.outputs = list(self._outputs.values())
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = self._name, 0
        signature.inputs, signature.outputs = _maps(self._inputs), _maps(self._outputs)
        self._tree.subgraphs, self._tree.signatureDefs = [self._graph], [signature]
        return flatbuffer.write(self._tree)

    def _code(self, number: int) -> int:
        code = schema.OperatorCodeT()
        code.builtinCode, code.version = number, 1
        code.deprecatedBuiltinCode = min(number, 127)
        self._tree.operatorCodes.append(code)
        return len(self._tree.operatorCodes) - 1


def _maps(named: dict[str, int]) -> list[Any]:
    maps = []
    for name, number in named.items():
        one = schema.TensorMapT()
        one.name, one.tensorIndex = name, number
        maps.append(one)
    return maps
