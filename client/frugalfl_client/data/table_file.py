"""A Parquet or CSV file as columns that are there; what is wrong with it is one line."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frugalfl.errors import MissingExtraError, TaskError
from frugalfl_client.data.file_columns import Column

if TYPE_CHECKING:
    import pyarrow as pa

_SUFFIXES = (".parquet", ".csv", ".csv.gz")


@dataclass(frozen=True)
class TableFile:
    """Some columns of a file.

    Attributes:
        table: The columns, as Arrow has them.
        source: Name of the file, for messages.
        settings: Name of the file with the settings, for messages.
    """

    table: pa.Table
    source: str
    settings: str

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def column(self, name: str) -> Column:
        """Return a column by its name in the file."""
        values = self.table.column(name).combine_chunks()
        return Column(values, self.source, name, self.settings)


def read_table(
    path: Path, wanted: Sequence[str], as_text: Collection[str], settings: str
) -> TableFile:
    """Read some columns of a Parquet or CSV file.

    Args:
        path: Ends with .parquet, .csv or .csv.gz.
        wanted: Names of the columns in the file.
        as_text: Those that a CSV is not to turn into numbers: one branch's identifiers may all look
            like numbers, another's not.
        settings: Name of the file that says which columns are wanted, for messages.

    Raises:
        MissingExtraError: pyarrow is not installed.
        TaskError: No such file, one that cannot be read, or a column that is missing.
    """
    pa, parquet = load_pyarrow()
    if not path.name.endswith(_SUFFIXES):
        raise TaskError(f"{path.name}: only {', '.join(_SUFFIXES)} can be read; convert it")
    try:
        if path.suffix == ".parquet":
            _need_all(wanted, parquet.read_schema(path).names, path.name, settings)
            return TableFile(parquet.read_table(path, columns=list(wanted)), path.name, settings)
        table = _read_csv(path, as_text)
    except FileNotFoundError:
        raise TaskError(f"{path}: there is no such file; see files in {settings}") from None
    except (OSError, pa.ArrowInvalid) as error:
        reason = str(error).splitlines()[0]
        raise TaskError(f"{path.name}: cannot be read ({reason}); write it anew") from None
    _need_all(wanted, table.column_names, path.name, settings)
    return TableFile(table.select(wanted), path.name, settings)


def load_pyarrow() -> tuple[Any, Any]:
    """Return pyarrow and its Parquet part.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtraError("reading a branch's file", "fraud") from None
    return pyarrow, parquet


def _read_csv(path: Path, as_text: Collection[str]) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv

    types = {name: pa.string() for name in as_text}
    options = csv.ConvertOptions(column_types=types, strings_can_be_null=True)
    return csv.read_csv(path, convert_options=options)


def _need_all(wanted: Sequence[str], present: Sequence[str], source: str, settings: str) -> None:
    for name in wanted:
        if name not in present:
            raise TaskError(
                f"{source}: there is no column {name!r}, only {', '.join(present)}; "
                f"add it, or name another one under [columns] in {settings}"
            )
