"""From records to the Parquet tables of a run."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from types import UnionType
from typing import Any, Generic, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import pyarrow as pa

from frugalfl.atomic import write_atomically
from frugalfl.energy.parquet import write_table

_ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}

_Row = TypeVar("_Row")
#: So many rows are worth a table.
_FEW = 500


class Unwritten(NamedTuple):
    """Rows of a table that are not in its file yet.

    Attributes:
        tables: The older ones, as Parquet files in memory.
        texts: The newest ones: a line of JSON each.
    """

    tables: list[bytes]
    texts: bytes


class Growing(Generic[_Row]):
    """Rows that only grow, and the table of them: each is made part of it once.

    A run writes its tables again and again, and a checkpoint holds the rows that are not in them
    yet; both would otherwise take longer with every round. A table takes milliseconds however few
    its rows are, so that few new ones are texts in a checkpoint, and wait for others.
    """

    def __init__(
        self, convert: Callable[[Sequence[_Row]], pa.Table], to_text: Callable[[_Row], str]
    ) -> None:
        """Begin without rows.

        Args:
            convert: Makes a table of rows.
            to_text: Makes JSON, in one line, of a row.
        """
        self._convert = convert
        self._to_text = to_text
        self.clear()

    def clear(self) -> None:
        """Forget the rows: they have become others."""
        self._count = 0
        self._parts: list[pa.Table] = []
        self._waiting: list[bytes] = []
        self._texts: list[str] = []

    def write(self, path: Path, rows: Sequence[_Row]) -> None:
        """Write all rows into a Parquet file, as a whole.

        Args:
            path: The file.
            rows: All of them, those of before among them.
        """
        self._follow(rows)
        whole = pa.concat_tables(self._parts or [self._convert([])])
        write_atomically(path, lambda file: write_table(whole, file), True)
        self._parts, self._waiting = [whole], []

    def unwritten(self, rows: Sequence[_Row]) -> Unwritten:
        """Return the rows that were not written yet.

        Args:
            rows: As of :meth:`write`.
        """
        if not 0 <= len(rows) - self._count < _FEW:
            self._follow(rows)
            if self._parts:
                self._waiting.append(_packed(self._parts[-1]))
        known = self._count + len(self._texts)
        self._texts += map(self._to_text, rows[known:])
        return Unwritten(self._waiting, "\n".join(self._texts).encode())

    def _follow(self, rows: Sequence[_Row]) -> None:
        """Make a table of all rows that are in none."""
        if len(rows) < self._count:
            self.clear()
        self._texts = []
        if len(rows) > self._count:
            self._parts.append(self._convert(rows[self._count :]))
            self._count = len(rows)


def _packed(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    write_table(table, buffer)
    return buffer.getvalue()


def plain_table_of(kind: type, records: Sequence[object]) -> pa.Table:
    """Return records as a table.

    Args:
        kind: The dataclass that they are of; all of its fields are plain.
        records: Of that kind.
    """
    schema = _schema(kind)
    columns = {name: list(map(attrgetter(name), records)) for name in schema.names}
    return pa.table(columns, schema=schema)


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
