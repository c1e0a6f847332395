"""A training program: a TFLite file that trains one model, and the description that goes with it.

The server compiles it from the task's PyTorch model; a device runs it with LiteRT and numpy alone.
Its signatures take and return tensors by these names (every tensor is float32 but ``y`` of a
classification, which is int32):

* ``train``: ``x``, ``y``, ``learning_rate``, ``proximal_mu``, ``w`` (row weights: 1 for a row, 0 for
  the padding of a ragged last batch), ``p0`` ... (all parameters, in order), ``g0`` ... (the trained
  ones as the round began with them, only with ``proximal``), ``s0`` ... (optimiser state) to
  ``loss`` and the new values of what changed, under the same names.
* ``evaluate``: ``x``, ``y``, ``w``, ``p0`` ... to ``loss`` and ``right`` (rows whose largest output is
  their class).
* ``predict``: ``x``, ``p0`` ... to ``outputs``.
* ``calibrate``: ``x``, ``p0`` ... to ``ranges``, shape ``(tensors, 2)``, as
  :func:`frugalfl.activations.ranges_of` records them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Tensor:
    """One parameter or state tensor of a program.

    Attributes:
        name: As in the module's ``state_dict()``.
        shape: Its shape.
        changes: True if ``train`` returns a new value (a trained parameter, a running statistic).
    """

    name: str
    shape: tuple[int, ...]
    changes: bool


@dataclass(frozen=True)
class Program:
    """A training program.

    Attributes:
        model: The .tflite file.
        batch: Rows of a batch.
        input_shape: Shape of one row of ``x``.
        target_shape: Shape of one row of ``y``; empty for a class number.
        parameters: In the order of ``p0`` ...
        state: In the order of ``s0`` ...; zero when training begins.
        proximal: True if ``train`` takes ``proximal_mu`` and ``g0`` ...
    """

    model: bytes
    batch: int
    input_shape: tuple[int, ...]
    target_shape: tuple[int, ...]
    parameters: tuple[Tensor, ...]
    state: tuple[Tensor, ...]
    proximal: bool

    @property
    def digest(self) -> str:
        """SHA-256 of the file, as hexadecimal digits."""
        return hashlib.sha256(self.model).hexdigest()
