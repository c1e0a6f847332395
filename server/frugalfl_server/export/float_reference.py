"""The float model that an export is proven against, whatever it was written in."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from frugalfl.errors import ExportError
from frugalfl.task import FloatArray
from frugalfl_server.export.to_float_tflite import to_model_layout

if TYPE_CHECKING:
    import torch

BATCH_ROWS = 256


@dataclass(frozen=True)
class Reference:
    """A trained float model as the proof sees it: a function of rows.

    Attributes:
        framework: What it was written in, as people write it: ``"PyTorch"``.
        run: A batch of rows in the framework's own layout to float32 outputs.
        to_model_layout: The same rows in the layout that an exported file takes them in.
    """

    framework: str
    run: Callable[[FloatArray], FloatArray]
    to_model_layout: Callable[[FloatArray, bytes], FloatArray]

    @property
    def stage(self) -> str:
        """Its name among the stages of a proof: ``"pytorch"``."""
        return self.framework.lower()

    def outputs(self, x: FloatArray) -> FloatArray:
        """Run any number of rows, at least one.

        Raises:
            ExportError: Outputs that are not finite.
        """
        starts = range(0, len(x), BATCH_ROWS)
        outputs = np.concatenate([self.run(x[start : start + BATCH_ROWS]) for start in starts])
        if not np.isfinite(outputs).all():
            raise ExportError("the model's outputs are NaN or infinite on the test rows")
        return outputs


def of_pytorch(module: torch.nn.Module) -> Reference:
    """Return a PyTorch module as a reference: a copy of it, on the CPU and in evaluation mode."""
    frozen = copy.deepcopy(module).cpu().eval()

    def run(x: FloatArray) -> FloatArray:
        import torch

        with torch.no_grad():
            outputs: FloatArray = frozen(torch.from_numpy(x)).numpy()
        return outputs

    return Reference("PyTorch", run, to_model_layout)
