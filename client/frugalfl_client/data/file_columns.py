"""One column of a file as numbers, labels or identifiers; the first wrong row is named."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from frugalfl.errors import TaskError
from frugalfl_client.data.keyed_hash import digests

#: A number that is written in one way only: 7, but not 007.
_WHOLE = re.compile(r"0|[1-9][0-9]{0,17}")


@dataclass(frozen=True)
class Column:
    """A column as it was read.

    Attributes:
        values: A pyarrow array, shape ``(n,)``.
        source: Name of its file, for messages.
        name: Its name there.
        settings: Name of the file with the settings, for messages.
    """

    values: Any
    source: str
    name: str
    settings: str

    @property
    def is_text(self) -> bool:
        """Whether it holds text."""
        from pyarrow import types

        kind = self.values.type
        return bool(types.is_string(kind) or types.is_large_string(kind))

    def need_whole(self) -> None:
        """Refuse missing values.

        Raises:
            TaskError: There is one; its row is named.
        """
        if self.values.null_count:
            row = int(np.argmax(self.values.is_null().to_numpy(zero_copy_only=False)))
            raise self.wrong_row(row, "empty; fill it or drop the row")

    def wrong_row(self, row: int, what: str) -> TaskError:
        """Return an error about one row, counted from 0."""
        return TaskError(f"{self.source}: column {self.name}, row {row + 1} of the data: {what}")

    def wrong_type(self, wanted: str) -> TaskError:
        """Return an error about its type."""
        return TaskError(
            f"{self.source}: column {self.name} is {self.values.type}, not {wanted}; "
            f"row 1 has {str(self.values[0].as_py())[:40]!r}: convert it"
        )


def read_numbers(column: Column) -> npt.NDArray[np.float64]:
    """Return numbers, also those that are written as text, shape ``(n,)``.

    Raises:
        TaskError: A value that is missing or no number, or a column of another type.
    """
    from pyarrow import compute, types

    column.need_whole()
    array, kind = column.values, column.values.type
    if column.is_text:
        return _parse_numbers(column)
    if types.is_boolean(kind):
        array = compute.cast(array, "int8")
    elif not (types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)):
        raise column.wrong_type("numbers")
    values: npt.NDArray[np.float64] = compute.cast(array, "double", safe=False).to_numpy()
    return values


def read_labels(column: Column) -> npt.NDArray[np.int8]:
    """Return labels, shape ``(n,)``.

    Raises:
        TaskError: One that is neither 0 nor 1.
    """
    values = read_numbers(column)
    bad = (values != 0) & (values != 1)
    if bad.any():
        row = int(np.argmax(bad))
        raise column.wrong_row(row, f"{values[row]:g}; it must be 0 or 1")
    return values.astype(np.int8)


def read_identifiers(column: Column, salt: str) -> npt.NDArray[np.int64]:
    """Return whole numbers as they are, also as text; other texts as 63 bits of a keyed hash.

    Args:
        column: Of whole numbers or text.
        salt: Key of the hash.

    Raises:
        TaskError: A value is missing, or the column is of another type.
    """
    from pyarrow import compute, types

    column.need_whole()
    array = column.values
    if types.is_integer(array.type):
        whole: npt.NDArray[np.int64] = compute.cast(array, "int64", safe=False).to_numpy()
        return whole
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if not Column(array, column.source, column.name, column.settings).is_text:
        raise column.wrong_type("whole numbers or text")
    coded = array.dictionary_encode()
    texts = coded.dictionary.to_pylist()
    values = (digests(texts, salt, "identifier") >> np.uint64(1)).astype(np.int64)
    for place, text in enumerate(texts):
        if _WHOLE.fullmatch(text):
            values[place] = int(text)
    found: npt.NDArray[np.int64] = values[coded.indices.to_numpy()]
    return found


def _parse_numbers(column: Column) -> npt.NDArray[np.float64]:
    texts = column.values.to_pylist()
    for row, text in enumerate(texts):
        try:
            float(text)
        except ValueError:
            what = f"{text[:40]!r} is not a number; correct it or drop the row"
            raise column.wrong_row(row, what) from None
    return np.array(texts, np.float64)
