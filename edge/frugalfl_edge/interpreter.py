"""One interpreter over ai-edge-litert, or tflite-runtime if that is what the device has.

Both speak the same API; 32-bit Raspberry Pi OS has only the second.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from frugalfl.errors import MissingExtraError, UsageError
from frugalfl.foreign import read_bytes

Kernels = Literal["default", "reference"]
ModelSource = str | os.PathLike[str] | bytes
Array = npt.NDArray[Any]

#: Where the interpreter class may live, the faster one first.
RUNTIMES = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter")


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a model.

    Attributes:
        shape: With the batch first, e.g. ``(1, 8, 8, 1)``; exported models are channels last.
        dtype: ``int8`` for an int8 model, ``float32`` for a float one.
        scale: Real value of one step; 0.0 if the tensor is not quantized.
        zero_point: The integer that stands for the real value 0.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float
    zero_point: int


class Interpreter:
    """A loaded .tflite model with one input and one output.

    Attributes:
        input: What :meth:`run` takes.
        output: What :meth:`run` returns.
    """

    def __init__(self, model: ModelSource, kernels: Kernels = "default") -> None:
        """Load a model.

        Args:
            model: Path of a .tflite file, or its bytes.
            kernels: ``"default"`` for the fastest the runtime has; ``"reference"`` for the plain
                ones, whose int8 arithmetic is that of TFLite-Micro.

        Raises:
            UsageError: No such file, not a .tflite model, or not one input and one output.
            MissingExtraError: Neither runtime is installed.
        """
        self._runtime = load_runtime(content_of(model), kernels, name_of(model))
        inputs, outputs = self._runtime.get_input_details(), self._runtime.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            counts = f"{len(inputs)} inputs and {len(outputs)} outputs"
            raise UsageError(f"{name_of(model)} has {counts}; one of each is supported")
        self._input_index, self._output_index = inputs[0]["index"], outputs[0]["index"]
        self.input, self.output = _info(inputs[0]), _info(outputs[0])

    def run(self, x: Array) -> Array:
        """Run one inference, in the model's own numbers.

        Args:
            x: Shape and dtype of :attr:`input`: int8 steps for an int8 model.

        Returns:
            A new array with shape and dtype of :attr:`output`.

        Raises:
            UsageError: Another shape or dtype.
        """
        if x.shape != self.input.shape or x.dtype != self.input.dtype:
            raise UsageError(
                f"input is {x.dtype}{x.shape}, the model takes {self.input.dtype}{self.input.shape}"
            )
        self._runtime.set_tensor(self._input_index, x)
        self._runtime.invoke()
        output: Array = self._runtime.get_tensor(self._output_index)
        return output


def name_of(model: ModelSource) -> str:
    """Return what to call a model in a message."""
    return "the model" if isinstance(model, bytes) else os.fspath(model)


def content_of(model: ModelSource) -> bytes:
    """Return the bytes of a model.

    Raises:
        UsageError: There is no such file, or it cannot be read.
    """
    if isinstance(model, bytes):
        return model
    try:
        return read_bytes(Path(model))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"cannot read the model {name_of(model)}: {why}") from error


def load_runtime(content: bytes, kernels: Kernels = "default", name: str = "the model") -> Any:
    """Return the runtime's own interpreter of a model, on one thread, with its tensors in place.

    Args:
        content: A .tflite file.
        kernels: As for :class:`Interpreter`.
        name: Of the model, for messages.

    Raises:
        UsageError: Not a .tflite model, or one that does not run here.
        MissingExtraError: Neither runtime is installed.
    """
    runtime = import_runtime()
    resolver = runtime.OpResolverType.AUTO
    if kernels == "reference":
        resolver = runtime.OpResolverType.BUILTIN_REF
    try:
        loaded = runtime.Interpreter(
            model_content=content, num_threads=1, experimental_op_resolver_type=resolver
        )
        loaded.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        what = f"{name} ({len(content)} B) is not a TFLite model that runs here"
        raise UsageError(f"{what}: {reason}") from error
    return loaded


def import_runtime() -> Any:
    """Import ai-edge-litert, or tflite-runtime.

    Raises:
        MissingExtraError: Neither is installed.
    """
    for name in RUNTIMES:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise MissingExtraError("Running a model", "edge")


@lru_cache(maxsize=1)
def runtime_package() -> str:
    """Return the name of the package that :func:`import_runtime` finds, as pip knows it.

    Raises:
        MissingExtraError: Neither is installed.
    """
    package = str(import_runtime().__name__).partition(".")[0].replace("_", "-")
    # To look a module up among all that is installed would read every package's list of files.
    for name in (package, f"{package}-nightly"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            metadata.version(name)
            return name
    return package


def _info(details: dict[str, Any]) -> TensorInfo:
    scale, zero_point = details["quantization"]
    shape = tuple(int(size) for size in details["shape"])
    return TensorInfo(shape, np.dtype(details["dtype"]), float(scale), int(zero_point))
