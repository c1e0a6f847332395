"""``energy.parquet``: flat columns that any tool can add up, and each record's readings, nested."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from itertools import accumulate
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from frugalfl.energy.columns import DERIVED, PLAIN, columns_of, unflat
from frugalfl.energy.record import EnergyRecord
from frugalfl.energy.record_json import from_dict
from frugalfl.energy.schema1 import upgrade_row
from frugalfl.errors import MissingExtraError, RunError
from frugalfl.foreign import MOST_BYTES, open_regular

if TYPE_CHECKING:
    import pyarrow

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
    try:
        return list(map(_record, read_rows(path)))
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"cannot read {path}: {error}; put a sound copy in its place") from error


def records_in(data: bytes) -> list[EnergyRecord]:
    """Read a table in memory.

    Raises:
        ValueError: It cannot be read, or holds something else.
        MissingExtraError: pyarrow is not installed.
    """
    return list(map(_record, rows_in(data)))


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read any Parquet table as plain rows.

    Raises:
        RunError: It cannot be read.
        MissingExtraError: pyarrow is not installed.
    """
    try:
        with open_regular(path) as file:
            return _rows(file)
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {path}: {error}; put a sound copy in its place") from error


def rows_in(data: bytes) -> list[dict[str, Any]]:
    """Read any Parquet table in memory as plain rows.

    Raises:
        ValueError: It cannot be read.
        MissingExtraError: pyarrow is not installed.
    """
    return _rows(io.BytesIO(data))


def _rows(file: BinaryIO) -> list[dict[str, Any]]:
    """Read a table.

    Raises:
        ValueError: It cannot be read, or is too large.
    """
    arrow, parquet = _pyarrow()
    try:
        table = parquet.ParquetFile(file, page_checksum_verification=True)
        _check_size(table.metadata)
        rows: list[dict[str, Any]] = table.read().to_pylist()
    except (arrow.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        raise ValueError(" ".join(str(error).split())[:200]) from error
    return rows


def _check_size(about: Any) -> None:
    """See what a table unpacks to; a column of one value takes no room in its file."""
    size = sum(about.row_group(number).total_byte_size for number in range(about.num_row_groups))
    if about.num_rows > _MOST_ROWS or about.num_columns > _MOST_COLUMNS or size > MOST_BYTES:
        raise ValueError(
            f"it holds {about.num_rows:,} rows of {about.num_columns:,} columns, {size:,} B"
        )


def _record(row: dict[str, Any]) -> EnergyRecord:
    if "readings" not in row:
        return upgrade_row(row)  # type: ignore[no-any-return]
    return from_dict(unflat(row, row["readings"]))


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
