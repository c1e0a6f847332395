"""From a branch's Parquet or CSV to `Transactions`, and back to Parquet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fraud.config import Config
from fraud.schema import NONE, Transactions
from frugalfl.errors import TaskError
from frugalfl_client.data.file_columns import Column, read_identifiers, read_labels, read_numbers
from frugalfl_client.data.table_file import TableFile, load_pyarrow, read_table
from frugalfl_client.data.time_column import read_times

_NAMING = ("id", "card", "terminal")


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
        Its rows, sorted by time if they were not.

    Raises:
        TaskError: No such file, a column that is missing or of a wrong type, or a value that cannot
            be: file, column and first such row are named.
    """
    naming = [config.columns[name] for name in _NAMING if name in config.columns]
    wanted = [*config.columns.values(), *config.extra]
    table = read_table(path, wanted, naming, "pilot.toml")
    if len(table) == 0:
        raise TaskError(f"{path.name}: there are no transactions; leave this branch out")
    found = _transactions(table, config).check(path.name)
    ordered = found.in_order()
    notes = [] if ordered is found else [f"{path.name}: rows were not in the order of time: sorted"]
    return Loaded(ordered, tuple(notes))


def write_parquet(transactions: Transactions, path: Path) -> None:
    """Write a table that `load` reads with the default mapping, zstd-compressed."""
    pa, parquet = load_pyarrow()
    columns = {name: getattr(transactions, name) for name in Config().columns}
    columns |= dict(zip(transactions.extra_names, transactions.extra.T, strict=True))
    parquet.write_table(
        pa.table(columns), path, compression="zstd",
        column_encoding={"time": "DELTA_BINARY_PACKED", "id": "DELTA_BINARY_PACKED"},
        use_dictionary=["card", "terminal", "amount", "fraud"],
    )  # fmt: skip


def _transactions(table: TableFile, config: Config) -> Transactions:
    rows = len(table)

    def column(name: str) -> Column:
        return table.column(config.columns[name])

    def identifiers(name: str, absent: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        there = name in config.columns
        return read_identifiers(column(name), config.salt) if there else absent

    extra = [read_numbers(table.column(name)) for name in config.extra]
    nobody = np.full(rows, NONE, np.int64)
    return Transactions(
        id=identifiers("id", np.arange(rows, dtype=np.int64)),
        time=read_times(column("time"), config.time_format),
        card=identifiers("card", nobody),
        terminal=identifiers("terminal", nobody),
        amount=read_numbers(column("amount")),
        fraud=read_labels(column("fraud")),
        extra=np.column_stack([np.empty((rows, 0)), *extra]).astype(np.float32),
        extra_names=config.extra,
    )
