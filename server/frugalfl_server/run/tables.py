"""From records to the Parquet tables of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pyarrow as pa

from frugalfl.atomic import write_atomically
from frugalfl.energy.parquet import write_table

_ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def write_rows(path: Path, kind: type, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows as a table into a Parquet file, as a whole."""
    table = table_of(kind, rows)
    write_atomically(path, lambda file: write_table(table, file), True)


def table_of(kind: type, rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Return rows as a table.

    Args:
        kind: The dataclass that they are of; columns that it does not have are metrics of the task.
        rows: By column.
    """
    schema = _schema(kind)
    for column in dict.fromkeys(column for row in rows for column in row):
        if column not in schema.names:
            schema = schema.append(pa.field(column, pa.float64()))
    return pa.Table.from_pylist(rows, schema=schema)


def _schema(kind: type) -> pa.Schema:
    """Derive a Parquet schema from a dataclass of plain fields; ``X | None`` is nullable."""
    hints = get_type_hints(kind)
    columns = []
    for field in fields(kind):
        hint = hints[field.name]
        if get_origin(hint) is Mapping:
            continue  # its entries are columns of their own
        optional = isinstance(hint, UnionType)
        plain = next(arg for arg in get_args(hint) if arg is not type(None)) if optional else hint
        columns.append(pa.field(field.name, _ARROW[plain], nullable=optional))
    return pa.schema(columns)
