"""A column of times as seconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from frugalfl_client.data.file_columns import Column, read_numbers

_PER_SECOND = {"milliseconds": 1000}


def read_times(column: Column, time_format: str) -> npt.NDArray[np.int64]:
    """Return seconds since 1970-01-01 UTC, shape ``(n,)``.

    Args:
        column: Of timestamps, dates, numbers or text; a time without a zone is taken as UTC.
        time_format: ``auto``, ``seconds``, ``milliseconds``, or a format of ``strptime``.

    Raises:
        TaskError: A value is missing or no time, or the column is of another type.
    """
    from pyarrow import compute, types

    column.need_whole()
    kind = column.values.type
    if types.is_timestamp(kind) or types.is_date(kind):
        stamps = compute.cast(column.values, "timestamp[s]", safe=False)
        seconds: npt.NDArray[np.int64] = compute.cast(stamps, "int64").to_numpy()
        return seconds
    if column.is_text:
        return _parse_times(column, time_format)
    if not (types.is_integer(kind) or types.is_floating(kind)):
        raise column.wrong_type("a time")
    if "%" in time_format:
        raise column.wrong_type(f"text such as {time_format}")
    return _from_numbers(column, _PER_SECOND.get(time_format, 1))


def _from_numbers(column: Column, per_second: int) -> npt.NDArray[np.int64]:
    values = read_numbers(column)
    bad = ~np.isfinite(values) | (np.abs(values) > 1e14)
    if bad.any():
        row = int(np.argmax(bad))
        raise column.wrong_row(row, f"{values[row]:g} is not a time; correct it or drop the row")
    return np.floor(values / per_second).astype(np.int64)


def _parse_times(column: Column, time_format: str) -> npt.NDArray[np.int64]:
    texts = column.values.to_pylist()
    seconds = np.empty(len(texts), np.int64)
    for row, text in enumerate(texts):
        try:
            if "%" in time_format:
                moment = datetime.strptime(text, time_format)
            else:
                moment = datetime.fromisoformat(text)
        except ValueError:
            such = time_format if "%" in time_format else "2018-04-01 13:45:00"
            raise column.wrong_row(
                row,
                f"{text[:40]!r} is not a time such as {such}; correct it, or set time-format in "
                f"{column.settings}",
            ) from None
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds[row] = int(zoned.timestamp() // 1)
    return seconds
