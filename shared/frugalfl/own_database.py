"""SQLite files with tables of our own and nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from frugalfl.atomic import claim_database

#: Rows that are no table of ours; an index that belongs to a table has no text.
_OTHERS = (
    "SELECT name FROM sqlite_master "
    "WHERE coalesce(sql, '') NOT IN ({}) AND NOT (type = 'index' AND sql IS NULL)"
)


def open_database(path: Path, tables: Sequence[str], most_bytes: int = 0) -> sqlite3.Connection:
    """Open a file, or make it, and see that it holds these tables and nothing else.

    It may be another's, and SQL that he put there would be run by ours: a view in the place of a
    table can compute for ever, a trigger can change what is written. What the rows hold is for
    whoever reads them: SQLite keeps no column to its type.

    Args:
        path: The file.
        tables: Of each, what follows CREATE TABLE.
        most_bytes: Longest value that is read or written (B); 0: as long as SQLite allows.

    Returns:
        A connection whose transactions are begun by hand, with a write-ahead log.

    Raises:
        OSError: The file is not ours to open.
        sqlite3.Error: It cannot be opened or made.
        ValueError: It holds something else.
    """
    claim_database(path)
    db = sqlite3.connect(path, isolation_level=None)
    try:
        if most_bytes:
            db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, most_bytes)
        db.execute("PRAGMA trusted_schema = OFF")
        own = [f"CREATE TABLE {table}" for table in tables]
        other = db.execute(_OTHERS.format(", ".join("?" * len(own))), own).fetchone()
        if other:
            raise ValueError(f"it holds {other[0]!r:.60}, which no such file has")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        for table in tables:
            db.execute(f"CREATE TABLE IF NOT EXISTS {table}")
    except BaseException:
        db.close()
        raise
    return db
