"""The ``train`` signature of a training program, with arrays bound to the interpreter's memory.

A step of a small model takes about 10 µs, which is what three or four calls into the interpreter
take as well. So rows are gathered straight into the input tensors, and what a step changed is
copied from output to input tensors by numpy, tensor by tensor, with nothing allocated: on an MLP of
2,410 parameters a step is then 1.4 times as long as the bare run of the graph, where the
interpreter's own way (a dictionary in, a dictionary out) makes it three times as long.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from frugalfl.blocks import FloatArray, Parameters
from frugalfl.errors import ProgramError, UsageError
from frugalfl.program import Program
from frugalfl.subspace import Subspace
from frugalfl_edge.interpreter import load_runtime

Array = npt.NDArray[Any]


class BoundProgram:
    """A loaded program; parameters, rows and optimiser state live in its own tensors.

    Attributes:
        x: Rows of a batch, shape ``(batch, *input shape)``.
        y: Their targets.
        w: Their weights: 1, or 0 for a row that is only there to fill the batch.
        masks: Dropout masks, in the program's order.
    """

    def __init__(self, program: Program) -> None:
        """Load a program.

        Raises:
            ProgramError: The file is not what its description says, or does not run here.
            MissingExtraError: No TFLite runtime is installed.
        """
        self.program = program
        try:
            self._runtime = load_runtime(program.model, name="the training program")
            self._inputs, self._outputs = self._details("train")
        except (UsageError, ValueError) as error:
            raise ProgramError(f"the training program does not run here: {error}") from error
        self._check()
        self._subspace: Subspace | None = None
        self._bind()

    def _details(self, signature: str) -> tuple[dict[str, Any], dict[str, Any]]:
        runner = self._runtime.get_signature_runner(signature)
        return runner.get_input_details(), runner.get_output_details()

    def _check(self) -> None:
        """Refuse a file whose ``train`` is not its first graph, or has other tensors than it says.

        Raises:
            ProgramError: So it is.
        """
        first = {int(one["index"]): one["name"] for one in self._runtime.get_input_details()}
        if {int(one["index"]): one["name"] for one in self._inputs.values()} != first:
            raise ProgramError("the training program's first graph is not its signature 'train'")
        wanted = self.program.train_inputs
        # Nothing would fill it, and what was in that memory before could be rows.
        unknown = sorted(self._inputs.keys() - wanted.keys())
        if unknown:
            raise ProgramError(
                f"the training program takes {unknown[0]}, which its description does not have; "
                "compile it again"
            )
        for name, shape in wanted.items():
            # What the loss does not depend on is no input: a frozen layer's unused tensor.
            if name not in self._inputs:
                continue
            has = tuple(map(int, self._inputs[name]["shape"]))
            if has != shape:
                raise ProgramError(
                    f"the training program takes {name} as {has}, its description says {shape}; "
                    "compile it again"
                )
        missing = sorted({"x", "y", "w"} - self._inputs.keys()) + sorted(
            {"loss"} - self._outputs.keys()
        )
        if missing:
            raise ProgramError(f"the training program has no {missing[0]!r} in 'train'")

    def _bind(self) -> None:
        """Take hold of the tensors' memory; it stays where it is while rounds run."""
        self._arrays = self._bound(self._inputs)
        results = self._bound(self._outputs)
        self.x, self.y, self.w = (self._arrays[name] for name in ("x", "y", "w"))
        self.masks = [self._arrays[f"m{place}"] for place in range(len(self.program.masks))]
        self._carried = [(self._arrays[name], new) for name, new in results.items()
                         if name in self._arrays]  # fmt: skip
        # Of a tensor without axes the runtime gives no view, but a copy.
        self._numbers = [
            (int(self._inputs[name]["index"]), self._runtime.tensor(int(one["index"])))
            for name, one in self._outputs.items()
            if name in self._inputs and name not in results
        ]
        self._loss = self._runtime.tensor(int(self._outputs["loss"]["index"]))

    def _bound(self, tensors: Mapping[str, Any]) -> dict[str, Array]:
        """Return an array over each tensor's memory.

        The runtime counts its own views as references to it, and refuses to run while there are
        any, because a graph could be resized meanwhile. This one never is: its shapes are fixed.
        """
        arrays = {}
        for name, one in tensors.items():
            view = self._runtime.tensor(int(one["index"]))()
            if isinstance(view, np.ndarray):
                address = view.__array_interface__["data"][0]
                memory = (ctypes.c_byte * view.nbytes).from_address(address)
                arrays[name] = np.frombuffer(memoryview(memory), view.dtype).reshape(view.shape)
        return arrays

    def begin(
        self,
        parameters: Parameters,
        learning_rate: float,
        proximal_mu: float,
        subspace: Subspace | None = None,
    ) -> None:
        """Set the parameters and the numbers of a round; the optimiser's state becomes zero.

        Args:
            parameters: By name.
            learning_rate: Step size.
            proximal_mu: Weight of FedProx's term.
            subspace: Whose coordinates the program moves; its signs are drawn once a fold, and stay
                in the program's memory.
        """
        self._bind()
        for array in (self.x, self.y, self.w):
            array[...] = 0  # what fills up a batch has weight 0, but must be a number
        for place, one in enumerate(self.program.parameters):
            self._set(f"p{place}", parameters[one.name])
        for place, one in enumerate(self.program.trained):
            self._set(f"g{place}", parameters[one.name])
        for place, one in enumerate(self.program.state):
            self._set(f"s{place}", np.zeros(one.shape, np.float32))
        self._set("learning_rate", np.float32(learning_rate))
        self._set("proximal_mu", np.float32(proximal_mu))
        if subspace is not None and subspace != self._subspace:
            for place, one in enumerate(self.program.trained):
                self._set(f"q{place}", subspace.signs(one.name))
            self._subspace = subspace.without_signs()

    def _set(self, name: str, value: Any) -> None:
        if name in self._inputs:
            self._runtime.set_tensor(int(self._inputs[name]["index"]), value)

    def step(self) -> float:
        """Train on the batch that is in ``x``, ``y`` and ``w``; return its loss."""
        self._runtime.invoke()
        for value, new in self._carried:
            np.copyto(value, new)
        for index, number in self._numbers:
            self._runtime.set_tensor(index, number())
        return float(self._loss())

    def parameter(self, place: int) -> FloatArray:
        """Return a copy of a parameter as it is now."""
        value: FloatArray = self._runtime.get_tensor(int(self._inputs[f"p{place}"]["index"]))
        return value

    def call(self, signature: str, **inputs: Array) -> dict[str, Array]:
        """Run another signature once; parameters that it does not take are left out."""
        runner = self._runtime.get_signature_runner(signature)
        taken = runner.get_input_details()
        result: dict[str, Array] = runner(**{n: a for n, a in inputs.items() if n in taken})
        return result
