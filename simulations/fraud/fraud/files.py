"""From a branch's Parquet or CSV to `Transactions`, and back to Parquet."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fraud.config import Config
from fraud.hashing import digests
from fraud.schema import NONE, Transactions
from frugalfl.errors import MissingExtraError, TaskError

if TYPE_CHECKING:
    import pyarrow as pa

_SUFFIXES = (".parquet", ".csv", ".csv.gz")
#: A number that is written in one way only: 7, but not 007.
_WHOLE = re.compile(r"0|[1-9][0-9]{0,17}")
_NAMING = ("id", "card", "terminal")
_PER_SECOND = {"milliseconds": 1000}


@dataclass(frozen=True)
class Loaded:
    """A branch's transactions.

    Attributes:
        transactions: Checked, in the order of time.
        notes: What had to be done to them, a line each.
    """

    transactions: Transactions
    notes: tuple[str, ...]


def load_branch(folder: Path, client: int, config: Config) -> Loaded:
    """Read one branch's file; see `load`."""
    return load(folder / config.files.replace("{client}", str(client)), config)


def load(path: Path, config: Config) -> Loaded:
    """Read a Parquet or CSV file.

    Args:
        path: Ends with .parquet, .csv or .csv.gz.
        config: Which columns mean what.

    Returns:
        Its rows, sorted by time where they were not.

    Raises:
        TaskError: No such file, a column that is missing or of a wrong type, or a value that cannot
            be: file, column and first such row are named.
    """
    table = _read(path, config)
    if table.num_rows == 0:
        raise TaskError(f"{path.name}: there are no transactions; leave this branch out")
    rows = table.num_rows

    def column(name: str) -> Any:
        return table.column(config.columns[name]).combine_chunks()

    def identifiers(name: str, absent: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        if name not in config.columns:
            return absent
        return _identifiers(column(name), path.name, config.columns[name], config.salt)

    def numbers(array: Any, name: str) -> npt.NDArray[np.float64]:
        return _numbers(array, path.name, name)

    extra = [numbers(table.column(name).combine_chunks(), name) for name in config.extra]
    nobody = np.full(rows, NONE, np.int64)
    found = Transactions(
        id=identifiers("id", np.arange(rows, dtype=np.int64)),
        time=_times(column("time"), path.name, config),
        card=identifiers("card", nobody),
        terminal=identifiers("terminal", nobody),
        amount=numbers(column("amount"), config.columns["amount"]),
        fraud=_labels(numbers(column("fraud"), config.columns["fraud"]), path.name, config),
        extra=np.column_stack([np.empty((rows, 0)), *extra]).astype(np.float32),
        extra_names=config.extra,
    ).check(path.name)
    ordered = found.in_order()
    notes = [] if ordered is found else [f"{path.name}: rows were not in the order of time: sorted"]
    return Loaded(ordered, tuple(notes))


def write_parquet(transactions: Transactions, path: Path) -> None:
    """Write a table that `load` reads with the default mapping, zstd-compressed."""
    pa, parquet = _pyarrow()
    columns = {name: getattr(transactions, name) for name in Config().columns}
    columns |= dict(zip(transactions.extra_names, transactions.extra.T, strict=True))
    parquet.write_table(
        pa.table(columns), path, compression="zstd",
        column_encoding={"time": "DELTA_BINARY_PACKED", "id": "DELTA_BINARY_PACKED"},
        use_dictionary=["card", "terminal", "amount", "fraud"],
    )  # fmt: skip


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtraError("reading a branch's file", "fraud") from None
    return pyarrow, parquet


def _read(path: Path, config: Config) -> pa.Table:
    pa, parquet = _pyarrow()
    from pyarrow import csv

    if not path.name.endswith(_SUFFIXES):
        raise TaskError(f"{path.name}: only {', '.join(_SUFFIXES)} can be read; convert it")
    wanted = [*config.columns.values(), *config.extra]
    try:
        if path.suffix == ".parquet":
            present = parquet.read_schema(path).names
            _all_present(wanted, present, path.name)
            return parquet.read_table(path, columns=wanted)
        # As text: one branch's identifiers may all look like numbers, another's not.
        text = {config.columns[name]: pa.string() for name in _NAMING if name in config.columns}
        options = csv.ConvertOptions(column_types=text, strings_can_be_null=True)
        table = csv.read_csv(path, convert_options=options)
    except FileNotFoundError:
        raise TaskError(f"{path}: there is no such file; see files in pilot.toml") from None
    except (OSError, pa.ArrowInvalid) as error:
        reason = str(error).splitlines()[0]
        raise TaskError(f"{path.name}: cannot be read ({reason}); write it anew") from None
    _all_present(wanted, table.column_names, path.name)
    return table.select(wanted)


def _all_present(wanted: list[str], present: list[str], source: str) -> None:
    for name in wanted:
        if name not in present:
            raise TaskError(
                f"{source}: there is no column {name!r}, only {', '.join(present)}; "
                "add it, or name another one under [columns] in pilot.toml"
            )


def _whole(array: Any, source: str, column: str) -> None:
    """Refuse an array with missing values."""
    if array.null_count:
        row = int(np.argmax(array.is_null().to_numpy(zero_copy_only=False)))
        raise TaskError(
            f"{source}: column {column}, row {row + 1} of the data: empty; fill it or drop the row"
        )


def _refuse_type(array: Any, source: str, column: str, what: str) -> TaskError:
    return TaskError(
        f"{source}: column {column} is {array.type}, not {what}; "
        f"row 1 has {str(array[0].as_py())[:40]!r}: convert it"
    )


def _is_text(array: Any) -> bool:
    from pyarrow import types

    kind = array.type
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _numbers(array: Any, source: str, column: str) -> npt.NDArray[np.float64]:
    from pyarrow import compute, types

    _whole(array, source, column)
    kind = array.type
    if _is_text(array):
        texts = array.to_pylist()
        for row, text in enumerate(texts):
            try:
                float(text)
            except ValueError:
                raise TaskError(
                    f"{source}: column {column}, row {row + 1} of the data: {text[:40]!r} is not "
                    "a number; correct it or drop the row"
                ) from None
        return np.array(texts, np.float64)
    if not (
        types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
        or types.is_boolean(kind)
    ):  # fmt: skip
        raise _refuse_type(array, source, column, "numbers")
    if types.is_boolean(kind):
        array = compute.cast(array, "int8")
    values: npt.NDArray[np.float64] = compute.cast(array, "double", safe=False).to_numpy()
    return values


def _labels(values: npt.NDArray[np.float64], source: str, config: Config) -> npt.NDArray[np.int8]:
    bad = (values != 0) & (values != 1)
    if bad.any():
        row = int(np.argmax(bad))
        raise TaskError(
            f"{source}: column {config.columns['fraud']}, row {row + 1} of the data: "
            f"{values[row]:g}; it must be 0 or 1"
        )
    return values.astype(np.int8)


def _identifiers(array: Any, source: str, column: str, salt: str) -> npt.NDArray[np.int64]:
    """Return whole numbers as they are, also as text; other texts as 63 bits of a keyed hash."""
    from pyarrow import compute, types

    _whole(array, source, column)
    if types.is_integer(array.type):
        whole: npt.NDArray[np.int64] = compute.cast(array, "int64", safe=False).to_numpy()
        return whole
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if not _is_text(array):
        raise _refuse_type(array, source, column, "whole numbers or text")
    coded = array.dictionary_encode()
    texts = coded.dictionary.to_pylist()
    values = (digests(texts, salt, "identifier") >> np.uint64(1)).astype(np.int64)
    for place, text in enumerate(texts):
        if _WHOLE.fullmatch(text):
            values[place] = int(text)
    found: npt.NDArray[np.int64] = values[coded.indices.to_numpy()]
    return found


def _times(array: Any, source: str, config: Config) -> npt.NDArray[np.int64]:
    """Return seconds since 1970-01-01 UTC; a time without a zone is taken as UTC."""
    from pyarrow import compute, types

    column = config.columns["time"]
    _whole(array, source, column)
    if types.is_timestamp(array.type) or types.is_date(array.type):
        stamps = compute.cast(array, "timestamp[s]", safe=False)
        seconds: npt.NDArray[np.int64] = compute.cast(stamps, "int64").to_numpy()
        return seconds
    if _is_text(array):
        return _parsed_times(array.to_pylist(), source, column, config.time_format)
    if types.is_integer(array.type) or types.is_floating(array.type):
        if "%" in config.time_format:
            raise _refuse_type(array, source, column, f"text such as {config.time_format}")
        values = _numbers(array, source, column)
        bad = ~np.isfinite(values) | (np.abs(values) > 1e14)
        if bad.any():
            row = int(np.argmax(bad))
            raise TaskError(
                f"{source}: column {column}, row {row + 1} of the data: {values[row]:g} is not a "
                "time; correct it or drop the row"
            )
        whole: npt.NDArray[np.int64] = np.floor(
            values / _PER_SECOND.get(config.time_format, 1)
        ).astype(np.int64)
        return whole
    raise _refuse_type(array, source, column, "a time")


def _parsed_times(
    texts: list[str], source: str, column: str, time_format: str
) -> npt.NDArray[np.int64]:
    seconds = np.empty(len(texts), np.int64)
    for row, text in enumerate(texts):
        try:
            if "%" in time_format:
                moment = datetime.strptime(text, time_format)
            else:
                moment = datetime.fromisoformat(text)
        except ValueError:
            such = time_format if "%" in time_format else "2018-04-01 13:45:00"
            raise TaskError(
                f"{source}: column {column}, row {row + 1} of the data: {text[:40]!r} is not a "
                f"time such as {such}; correct it, or set time-format in pilot.toml"
            ) from None
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds[row] = int(zoned.timestamp() // 1)
    return seconds
