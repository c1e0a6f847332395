"""Rows of data, and what is wrong with some before they are trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from frugalfl.errors import TaskError

FloatArray = npt.NDArray[np.float32]
TargetArray = npt.NDArray[Any]


@dataclass(frozen=True)
class Examples:
    """Rows of data.

    Attributes:
        x: Inputs, float32, shape ``(rows, *input shape)``: channels first, as PyTorch wants them.
        y: Targets, shape ``(rows, ...)``: int64 class numbers, or float32 values.
    """

    x: FloatArray
    y: TargetArray

    def __len__(self) -> int:
        return len(self.x)

    def check(self, whose: str) -> Examples:
        """Return these rows as both trainers take them, or say what is wrong with them.

        Class numbers become int64, values float32, and arrays that run backwards are copied; all
        else that would be trained on wrongly, or by one trainer only, is refused.

        Args:
            whose: Named in the message, e.g. ``"client 7"``.

        Raises:
            TaskError: No arrays, no rows, rows that do not pair up, a wrong dtype, or NaN and
                infinity.
        """
        x, y = _array(self.x, f"{whose}: inputs"), _array(self.y, f"{whose}: targets")
        if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
            raise TaskError(
                f"{whose}: {_count(x)} inputs but {_count(y)} targets; they must pair up"
            )
        if len(x) == 0:
            raise TaskError(
                f"{whose} has no data; use fewer clients, a milder split, or leave this client out"
            )
        if x.dtype != np.float32:
            raise TaskError(f"{whose}: inputs are {x.dtype}, not float32; add .astype(np.float32)")
        if not np.isfinite(x).all():
            raise TaskError(f"{whose}: inputs hold NaN or infinity; clean or fill them in the task")
        return Examples(_forwards(x), _forwards(_numbers(y, whose)))


def check_examples(rows: object, whose: str) -> Examples:
    """Check whatever a task returned as its rows.

    Raises:
        TaskError: It is no :class:`Examples`, or as :meth:`Examples.check`.
    """
    if not isinstance(rows, Examples):
        raise TaskError(
            f"{whose}: the task returned a {type(rows).__name__}; return Examples(x, y)"
        )
    return rows.check(whose)


def _array(value: object, what: str) -> npt.NDArray[Any]:
    if isinstance(value, np.ndarray):
        return value
    module = type(value).__module__.partition(".")[0]
    hint = "add .numpy()" if module == "torch" else "wrap them in np.asarray(...)"
    raise TaskError(f"{what} are a {type(value).__name__}, not a numpy array; {hint}")


def _count(array: npt.NDArray[Any]) -> str:
    return str(len(array)) if array.ndim else "no row of"


def _numbers(y: npt.NDArray[Any], whose: str) -> npt.NDArray[Any]:
    """Return targets as int64 or float32.

    Raises:
        TaskError: They are neither whole numbers nor values, or not finite.
    """
    if np.issubdtype(y.dtype, np.integer):
        return y.astype(np.int64, copy=False)
    if not np.issubdtype(y.dtype, np.floating):
        raise TaskError(
            f"{whose}: targets are {y.dtype}; give class numbers (.astype(np.int64)) or values "
            "(.astype(np.float32))"
        )
    if not np.isfinite(y).all():
        raise TaskError(f"{whose}: targets hold NaN or infinity; clean or fill them in the task")
    return y.astype(np.float32, copy=False)


def _forwards(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the same array with the steps in memory that its shape has by itself.

    PyTorch takes none whose rows or columns run backwards. And it reads the order of dimensions
    from the steps, even from that of a dimension of one: ``x[:, None]`` would make it work
    channels last, in other operators than the exported model has.
    """
    steps = array.itemsize * np.cumprod([1, *array.shape[:0:-1]])[::-1]
    return array if array.strides == tuple(steps) else np.array(array, order="C")
