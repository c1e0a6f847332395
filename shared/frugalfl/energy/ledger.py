"""The energy ledger: one SQLite file on the device, written before anything is reported.

SQLite in write-ahead mode: a killed process or a cut power supply loses at most the rows of the
transaction it interrupted and never damages earlier ones.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

from frugalfl.energy.record import SCHEMA_VERSION, EnergyRecord
from frugalfl.errors import RunError

_COLUMNS = [field.name for field in fields(EnergyRecord)]
_CREATE = f"CREATE TABLE IF NOT EXISTS energy ({', '.join(_COLUMNS)})"
_INSERT = f"INSERT INTO energy VALUES ({', '.join('?' * len(_COLUMNS))})"
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM energy ORDER BY rowid"


class Ledger:
    """An append-only table of :class:`EnergyRecord`; create it or open it by path."""

    def __init__(self, path: Path) -> None:
        """Open the ledger, creating it where there is none.

        Raises:
            RunError: The file is not a ledger, or of a newer version than this program.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._check_version()
            self._db.execute(_CREATE)
            self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        except (sqlite3.Error, OSError) as error:
            raise RunError(f"cannot open the energy ledger {path}: {error}") from error

    def _check_version(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version not in (0, SCHEMA_VERSION):
            self._db.close()
            raise RunError(
                f"ledger {self.path} has schema {version}, this version reads {SCHEMA_VERSION}"
            )

    def append(self, records: Iterable[EnergyRecord]) -> None:
        """Add rows in one transaction: all of them or none."""
        with self._db:
            self._db.executemany(_INSERT, [astuple(record) for record in records])

    def records(self) -> list[EnergyRecord]:
        """Return all rows, oldest first.

        Raises:
            RunError: The file cannot be read as a ledger.
        """
        try:
            rows = self._db.execute(_SELECT).fetchall()
        except sqlite3.Error as error:
            raise RunError(f"cannot read the energy ledger {self.path}: {error}") from error
        return [_record(row) for row in rows]

    def close(self) -> None:
        """Close the file; nothing is lost without it."""
        self._db.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _record(row: tuple[Any, ...]) -> EnergyRecord:
    values = dict(zip(_COLUMNS, row, strict=True))
    # SQLite has no booleans.
    return EnergyRecord(**values | {"measured": bool(values["measured"])})
