"""What every client's rows have to look like: the server knows it, and says it with its requests.

A client's own rows do not tell it: targets that happen to be all 0 or 1 may be a regression's, and
a model may take rows of a length that the others' do not have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from frugalfl.errors import TaskError
from frugalfl.examples import Examples, TargetArray

#: Kinds of tasks whose targets are class numbers.
_OF_CLASSES = ("classification", "segmentation")


@dataclass(frozen=True)
class Form:
    """The form of one row, and of a batch.

    Attributes:
        kind: What the task learns, as :func:`frugalfl.kinds.kind_named` reads it.
        inputs: Shape of one row's inputs.
        targets: Shape of one row's targets; empty: one number.
        fewest: Rows that a batch needs: 2, if the model's batch norms take no single row.
    """

    kind: str
    inputs: tuple[int, ...]
    targets: tuple[int, ...]
    fewest: int = 1

    @property
    def classes(self) -> bool:
        """Whether targets are class numbers, int64; else they are values, float32."""
        return self.kind.partition("(")[0] in _OF_CLASSES

    def fit(self, rows: Examples, whose: str) -> Examples:
        """Return a client's rows in this form; whole numbers become values, if these are wanted.

        Args:
            rows: As :meth:`Examples.check` returned them.
            whose: They are, for the message, e.g. ``"client 7 of 8"``.

        Raises:
            TaskError: They have another form, or are too few for a batch.
        """
        for what, array, shape in (
            ("inputs", rows.x, self.inputs), ("targets", rows.y, self.targets),
        ):  # fmt: skip
            if array.shape[1:] != shape:
                raise TaskError(
                    f"{whose}: {what} have shape {array.shape[1:]} a row, this task's have {shape}"
                )
        if len(rows) < self.fewest:
            raise TaskError(
                f"{whose} has {len(rows)} row; batch norm in this task's model needs batches of "
                f"{self.fewest} at least"
            )
        return Examples(rows.x, self._targets(rows, whose))

    def _targets(self, rows: Examples, whose: str) -> TargetArray:
        whole = np.issubdtype(rows.y.dtype, np.integer)
        if self.classes and not whole:
            raise TaskError(
                f"{whose}: targets are {rows.y.dtype}, this task's are class numbers; add "
                ".astype(np.int64)"
            )
        return rows.y.astype(np.float32) if whole and not self.classes else rows.y
