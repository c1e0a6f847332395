"""Run a signature of a training program in LiteRT, on the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy.typing as npt

Array = npt.NDArray[Any]


class Runner:
    """A loaded program.

    Args:
        model: The .tflite file.
        kernels: ``"reference"``: the plain kernels, the ones that TFLite-Micro's equal.
    """

    def __init__(self, model: bytes, kernels: Literal["default", "reference"] = "default") -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        resolver = OpResolverType.BUILTIN_REF if kernels == "reference" else OpResolverType.AUTO
        self._interpreter = Interpreter(
            model_content=model, experimental_op_resolver_type=resolver, num_threads=1
        )
        self._signatures: dict[str, Any] = {}

    def run(self, signature: str, given: Mapping[str, Array]) -> dict[str, Array]:
        """Return copies of a signature's outputs, by name."""
        if signature not in self._signatures:
            self._signatures[signature] = self._interpreter.get_signature_runner(signature)
        return dict(self._signatures[signature](**given))
