"""What a server has to know of rows that it never sees, if the task gives it none of its own.

Shapes, and three things that tell what the task learns; nothing about single rows.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import numpy as np

from frugalfl.errors import FrameError
from frugalfl.examples import Examples, TargetArray

#: Longest text that is read (B); most dimensions of a row, and most numbers of one.
_MOST_BYTES, _MOST_DIMENSIONS, _MOST_NUMBERS = 4096, 16, 1 << 28
#: Rows that stand for the clients' if only their shape counts.
_STANDING = 16


@dataclass(frozen=True)
class RowFacts:
    """What is true of all of a client's rows.

    Attributes:
        inputs: Shape of one row's inputs.
        targets: Shape of one row's targets; empty: one number.
        whole: Whether targets are whole numbers.
        labels: Whether every target is 0 or 1.
        copies: Whether the targets are the inputs.
    """

    inputs: tuple[int, ...]
    targets: tuple[int, ...]
    whole: bool
    labels: bool
    copies: bool

    @classmethod
    def of(cls, rows: Examples) -> RowFacts:
        """Return what is true of these rows."""
        return cls(
            rows.x.shape[1:], rows.y.shape[1:], bool(np.issubdtype(rows.y.dtype, np.integer)),
            bool(np.isin(rows.y, (0, 1)).all()),
            rows.x.shape == rows.y.shape and bool(np.array_equal(rows.x, rows.y)),
        )  # fmt: skip

    def to_bytes(self) -> bytes:
        """Return them as JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> RowFacts:
        """Read them.

        Raises:
            FrameError: They are no such facts.
        """
        try:
            if len(data) > _MOST_BYTES:
                raise ValueError("it is too long")
            known = json.loads(data)
            inputs, targets = (_shape(known[name]) for name in ("inputs", "targets"))
            flags = (known[name] is True for name in ("whole", "labels", "copies"))
            return cls(inputs, targets, *flags)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise FrameError(f"what it says of its rows cannot be read: {error}") from error

    def stand_in(self) -> Examples:
        """Return drawn rows of which the same is true; the same ones at every call."""
        rng = np.random.default_rng(0)
        x = rng.normal(size=(_STANDING, *self.inputs)).astype(np.float32)
        return Examples(x, x if self.copies else self._targets(rng))

    def _targets(self, rng: np.random.Generator) -> TargetArray:
        shape = (_STANDING, *self.targets)
        if self.whole:
            return np.zeros(shape, np.int64)
        drawn = rng.integers(0, 2, shape) if self.labels else rng.normal(size=shape)
        return drawn.astype(np.float32)


def _shape(value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) > _MOST_DIMENSIONS:
        raise ValueError(f"{value!r:.40} is no shape")
    numbers = 1
    for size in value:
        if type(size) is not int or not 0 < size <= _MOST_NUMBERS:
            raise ValueError(f"{value!r:.40} is no shape")
        numbers *= size
    if numbers > _MOST_NUMBERS:
        raise ValueError(f"a row of shape {value!r:.40} is too large")
    return tuple(value)
