"""Tables of counts that are added over clients: hashed keys, and sums."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from frugalfl.errors import UsageError


@dataclass(frozen=True)
class Table:
    """Counts by key and period.

    Attributes:
        keys: Strictly increasing, uint32 (n,).
        counts: uint32 (n, periods).

    Raises:
        UsageError: Types, shapes or order are not these.
    """

    keys: npt.NDArray[np.uint32]
    counts: npt.NDArray[np.uint32]

    def __post_init__(self) -> None:
        if self.keys.dtype != np.uint32 or self.counts.dtype != np.uint32:
            raise UsageError(
                f"keys are {self.keys.dtype}, counts {self.counts.dtype}: both must be uint32"
            )
        if self.keys.ndim != 1 or self.counts.ndim != 2 or len(self.keys) != len(self.counts):
            raise UsageError(
                f"keys {self.keys.shape} and counts {self.counts.shape} do not pair up: "
                "give (n,) and (n, periods)"
            )
        if not bool(np.all(self.keys[1:] > self.keys[:-1])):
            raise UsageError("keys must be strictly increasing: sort them and add up equal ones")
