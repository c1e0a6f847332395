"""An SQLite file on a device's own disk: transactions, and what to do if the disk damages it.

Disks of small devices fail. A file that is no database any more is set aside as
``<name>.damaged``, and begun anew; whoever keeps something in it has checksums of its own.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from frugalfl.atomic import claim_database
from frugalfl.errors import RunError

#: SQLite's errors that say nothing about the file's content: trying again may help.
_NOT_DAMAGE = (
    "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_NOMEM", "SQLITE_IOERR",
    "SQLITE_CANTOPEN",
)  # fmt: skip

_T = TypeVar("_T")
#: Works on an open database.
Work = Callable[[sqlite3.Connection], _T]


class Database:
    """One file; every change is one transaction."""

    def __init__(self, path: Path, schema: str) -> None:
        """Open the file, or make it; a damaged one is set aside.

        Args:
            path: The file.
            schema: Tables to make if they are not there.

        Raises:
            RunError: The file cannot be opened or made.
        """
        self.path = path
        self._schema = schema
        self._damage = ""
        try:
            try:
                self._db = self._connect()
            except sqlite3.Error as error:
                self._check_damaged(error)
                self._begin_anew(error)
        except (sqlite3.Error, OSError) as error:
            raise RunError(f"cannot open the device's store {path}: {error}") from error

    def read(self, work: Work[_T]) -> _T | None:
        """Do what changes one row at most; ``None``: the file was damaged, and begins anew.

        Raises:
            RunError: The file cannot be used, for another reason than damage.
        """
        try:
            return work(self._db)
        except sqlite3.Error as error:
            try:
                self._check_damaged(error)
                self._db.close()
                self._begin_anew(error)
            except (sqlite3.Error, OSError) as second:
                raise RunError(f"cannot use the device's store {self.path}: {second}") from error
        return None

    def change(self, work: Work[None]) -> bool:
        """Do all of some work or nothing; say whether it is done: else the file begins anew.

        Raises:
            RunError: As :meth:`read`.
        """
        return bool(self.read(lambda db: _in_transaction(db, work)))

    def write(self, work: Work[None]) -> None:
        """Do all of some work, in a new file if this one is damaged.

        Raises:
            RunError: The file cannot be written.
        """
        for _ in range(2):
            if self.change(work):
                return
        raise RunError(f"the device's store {self.path} is damaged as soon as it is written")

    def take_damage(self) -> str:
        """Return, once, that the file was damaged; empty: it was not."""
        damage, self._damage = self._damage, ""
        return damage

    def close(self) -> None:
        """Close the file; nothing is lost without it."""
        self._db.close()

    def _connect(self) -> sqlite3.Connection:
        # Transactions are begun by hand: Python's own would begin as readers.
        claim_database(self.path)
        db = sqlite3.connect(self.path, isolation_level=None)
        # A damaged text is for the checksum to find; it must not raise before.
        db.text_factory = lambda text: text.decode(errors="replace")
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.executescript(self._schema)
            (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise sqlite3.DatabaseError(" ".join(str(verdict).split()))
        except BaseException:
            db.close()
            raise
        return db

    def _check_damaged(self, error: sqlite3.Error) -> None:
        """Raise the error again where it is no damage: the file is sound, or gone altogether."""
        passing = str(getattr(error, "sqlite_errorname", "")).startswith(_NOT_DAMAGE)
        if passing or not self.path.is_file():
            raise error

    def _begin_anew(self, error: sqlite3.Error) -> None:
        os.replace(self.path, self.path.with_name(self.path.name + ".damaged"))
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        self._db = self._connect()
        self._damage = f"the device's store was damaged ({error}) and begins anew"


def _in_transaction(db: sqlite3.Connection, work: Work[None]) -> bool:
    db.execute("BEGIN IMMEDIATE")
    try:
        work(db)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return True
