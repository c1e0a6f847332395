"""``energy.parquet``: flat columns that any tool can add up, and each record's readings, nested."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from frugalfl.energy.columns import DERIVED, PLAIN, columns_of, plain_columns
from frugalfl.energy.record import EnergyRecord
from frugalfl.energy.record_json import from_columns
from frugalfl.energy.schema1 import upgrade_row
from frugalfl.errors import MissingExtraError, RunError
from frugalfl.foreign import MOST_BYTES, open_regular

if TYPE_CHECKING:
    import pyarrow

_Made = TypeVar("_Made")
#: Bounds of a table: 1,000 rounds of 1,000 clients with five phases each.
_MOST_ROWS, _MOST_COLUMNS = 5_000_000, 1_000


def write_records(to: Path | BinaryIO, records: Iterable[EnergyRecord]) -> None:
    """Write a table into a file, open or named.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    write_table(table_of(records), to)


def table_of(records: Iterable[EnergyRecord]) -> pyarrow.Table:
    """Return records as a table.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    arrow, _ = _pyarrow()
    rows = list(records)
    schema = _schema(arrow)
    columns: dict[str, Any] = columns_of(rows)
    columns["readings"] = _nested(arrow, schema.field("readings").type, rows)
    return arrow.table(columns, schema=schema)


def _nested(arrow: Any, kind: Any, records: Sequence[EnergyRecord]) -> Any:
    """Return the readings of each record as one column."""
    ends = accumulate((len(record.readings) for record in records), initial=0)
    readings = [reading for record in records for reading in record.readings]
    fields = list(kind.value_type)
    parts = [
        arrow.array(list(map(attrgetter(field.name), readings)), field.type) for field in fields
    ]
    structs = arrow.StructArray.from_arrays(parts, fields=fields)
    return arrow.ListArray.from_arrays(arrow.array(list(ends), arrow.int32()), structs, type=kind)


def write_table(table: pyarrow.Table, to: Path | BinaryIO) -> None:
    """Write any table, with a checksum for each page: a flipped bit is no other number.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    _, parquet = _pyarrow()
    parquet.write_table(table, to, compression="zstd", write_page_checksum=True)


def read_records(path: Path) -> list[EnergyRecord]:
    """Read a table, also one of schema 1.

    Raises:
        RunError: It cannot be read, or holds something else.
        MissingExtraError: pyarrow is not installed.
    """
    return _read(path, _records)


def records_in(data: bytes) -> list[EnergyRecord]:
    """Read a table in memory.

    Raises:
        ValueError: It cannot be read, or holds something else.
        MissingExtraError: pyarrow is not installed.
    """
    return _made_of(io.BytesIO(data), _records)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read any Parquet table as plain rows.

    Raises:
        RunError: It cannot be read.
        MissingExtraError: pyarrow is not installed.
    """
    return _read(path, _rows)


def rows_in(data: bytes) -> list[dict[str, Any]]:
    """Read any Parquet table in memory as plain rows.

    Raises:
        ValueError: It cannot be read.
        MissingExtraError: pyarrow is not installed.
    """
    return _made_of(io.BytesIO(data), _rows)


def _read(path: Path, make: Callable[[pyarrow.Table], list[_Made]]) -> list[_Made]:
    try:
        with open_regular(path) as file:
            return _made_of(file, make)
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {path}: {error}; put a sound copy in its place") from error


def _made_of(file: BinaryIO, make: Callable[[pyarrow.Table], list[_Made]]) -> list[_Made]:
    """Read a table, and make something of it.

    Raises:
        ValueError: It cannot be read, is too large, or nothing can be made of it.
    """
    arrow, parquet = _pyarrow()
    wrong = OSError, ValueError, KeyError, TypeError, OverflowError, MemoryError
    try:
        opened = parquet.ParquetFile(file, page_checksum_verification=True)
        _check_size(opened.metadata)
        return make(opened.read())
    except (arrow.ArrowException, *wrong) as error:
        raise ValueError(" ".join(str(error).split())[:200]) from error


def _rows(table: pyarrow.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _check_size(about: Any) -> None:
    """See what a table unpacks to; a column of one value takes no room in its file."""
    size = sum(about.row_group(number).total_byte_size for number in range(about.num_row_groups))
    if about.num_rows > _MOST_ROWS or about.num_columns > _MOST_COLUMNS or size > MOST_BYTES:
        raise ValueError(
            f"it holds {about.num_rows:,} rows of {about.num_columns:,} columns, {size:,} B"
        )


def _records(table: pyarrow.Table) -> list[EnergyRecord]:
    """Check what a table holds, column by column.

    Raises:
        ValueError: It holds something else than energy records.
        KeyError: It lacks a column.
    """
    if "readings" not in table.column_names:
        return [upgrade_row(row) for row in table.to_pylist()]
    arrow, _ = _pyarrow()
    lists = table.column("readings").combine_chunks()
    kind = lists.type
    if not (arrow.types.is_list(kind) and arrow.types.is_struct(kind.value_type)):
        raise ValueError(f"its readings are {kind}")
    if lists.null_count:
        raise ValueError("a record of it has no list of readings")
    names = [field.name for field in kind.value_type]
    values = [part.to_pylist() for part in lists.flatten().flatten()]
    readings = dict(zip(names, values, strict=True))
    names = [name for name in PLAIN if name in table.column_names]
    plain = plain_columns({name: table.column(name).to_pylist() for name in names})
    return from_columns(plain, readings, lists.value_lengths().to_pylist())


def _schema(arrow: Any) -> pyarrow.Schema:
    kinds = {str: arrow.string(), int: arrow.int64(), float: arrow.float64()}
    reading = arrow.struct(
        [
            ("component", arrow.string()),
            ("energy_j", arrow.float64()),
            ("idle_j", arrow.float64()),
            ("measured", arrow.bool_()),
            ("method", arrow.string()),
            ("source", arrow.string()),
            ("scope", arrow.string()),
            ("uncertainty_rel", arrow.float64()),
        ]
    )
    columns = [(name, kinds[kind]) for name, kind in (PLAIN | DERIVED).items()]
    return arrow.schema([*columns, ("readings", arrow.list_(reading))])


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading and writing Parquet tables", "server") from error
    return pyarrow, pyarrow.parquet
