"""Recordings from CSV or Parquet, and windows cut out of them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

Columns = dict[str, np.ndarray]


def read_columns(folder: Path, name: str, wanted: Sequence[str]) -> Columns:
    """Read the wanted columns of FOLDER/NAME.parquet or FOLDER/NAME.csv.

    Raises:
        FileNotFoundError: There is neither file.
        ValueError: A column is missing, a value is no number, or a line is too short.
    """
    for ending, read in ((".parquet", _of_parquet), (".csv", _of_csv)):
        file = folder / f"{name}{ending}"
        if file.is_file():
            return read(file, wanted)
    raise FileNotFoundError(f"there is no {name}.csv and no {name}.parquet in {folder.absolute()}")


def cut(samples: np.ndarray, states: np.ndarray, window: int, step: int) -> tuple[np.ndarray, ...]:
    """Cut windows out of a recording; those in which the state changes are left out.

    Args:
        samples: Shape (samples, axes).
        states: Of each sample, shape (samples,).
        window: Samples of a window.
        step: Samples from the beginning of one to that of the next.

    Returns:
        Windows, shape (windows, axes, window), and the state of each.

    Raises:
        ValueError: There is no whole window in it.
    """
    starts = range(0, len(states) - window + 1, step)
    whole = [at for at in starts if (states[at : at + window] == states[at]).all()]
    if not whole:
        raise ValueError(f"{len(states)} samples hold no window of {window} in one state")
    return np.stack([samples[at : at + window].T for at in whole]), states[whole]


def _of_csv(file: Path, wanted: Sequence[str]) -> Columns:
    with file.open(newline="", encoding="utf-8") as lines:
        table = csv.DictReader(lines)
        _check(file, wanted, table.fieldnames or ())
        rows = list(table)
    return {name: _column(file, name, [row[name] for row in rows]) for name in wanted}


def _column(file: Path, name: str, texts: Sequence[str | None]) -> np.ndarray:
    """Return a column as numbers if its first value is one, else as texts."""
    for number, text in enumerate(texts, start=2):
        if text is None or not text.strip():
            raise ValueError(f"{file}, line {number}: {name} is empty")
    try:
        float(texts[0] if texts else "")
    except (TypeError, ValueError):
        return np.array(texts, str)
    try:
        return np.array(texts, np.float64)
    except ValueError as error:
        raise ValueError(f"{file}: {name} holds both numbers and texts ({error})") from error


def _of_parquet(file: Path, wanted: Sequence[str]) -> Columns:
    import pyarrow.parquet as pq

    _check(file, wanted, pq.read_schema(file).names)
    table = pq.read_table(file, columns=list(wanted))
    for name in wanted:
        if table[name].null_count:
            raise ValueError(f"{file}: {name} has {table[name].null_count} empty values")
    return {name: table[name].to_numpy(zero_copy_only=False) for name in wanted}


def _check(file: Path, wanted: Sequence[str], there: Sequence[str]) -> None:
    if missing := [name for name in wanted if name not in there]:
        raise ValueError(f"{file} has no column {', '.join(missing)}; it has {', '.join(there)}")
