"""The SQLite file of an energy ledger: its tables, its oldest schema, its entries.

It may come from elsewhere, so that it is looked at before any statement of ours meets its content.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from frugalfl.atomic import claim_database
from frugalfl.energy.hash_chain import Entry, Head, genesis, link
from frugalfl.energy.record import SCHEMA_VERSION, EnergyRecord
from frugalfl.energy.record_json import to_text
from frugalfl.energy.schema1 import COLUMNS, upgrade_row
from frugalfl.errors import RunError

#: Most of the write-ahead file that stays (B).
_JOURNAL_BYTES = 4_000_000
#: Largest value in it (B); a record takes about 1 kB.
_MOST_ENTRY_BYTES = 1 << 20
#: How the entry of a seal begins.
SEAL = '{"seal":'
#: For people with a database tool; needs SQLite's JSON functions, which the ledger does not.
_VIEW = "".join(
    f", json_extract(text, '$.{name}') AS {name}"
    for name in ("run", "client", "round", "phase", "start_unix_s", "wall_s", "cpu_s", "samples",
                 "correct", "uplink_bytes", "downlink_bytes", "contacts", "readings")
)  # fmt: skip
_TABLES = (
    "CREATE TABLE about (ledger BLOB NOT NULL, number INTEGER NOT NULL, hash BLOB NOT NULL)",
    "CREATE TABLE entries (number INTEGER PRIMARY KEY, text TEXT NOT NULL, hash BLOB NOT NULL)",
)
_SCHEMA = (
    *_TABLES,
    f"CREATE VIEW energy AS SELECT number{_VIEW} FROM entries WHERE text NOT LIKE '{SEAL}%'",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)
#: From which entry on each head that was told carried a proof: older ledgers told heads without.
_PROVEN_TABLE = "proven (since INTEGER NOT NULL)"
_PROVEN = (
    f"CREATE TABLE IF NOT EXISTS {_PROVEN_TABLE}",
    "INSERT INTO proven SELECT number + 1 FROM about WHERE NOT EXISTS (SELECT 1 FROM proven)",
)


class LedgerFile:
    """One ledger's file: entries by number, and where their chain ends."""

    def __init__(self, path: Path) -> None:
        """Open the file, creating it if there is none; one of schema 1 is brought up to date.

        Raises:
            RunError: The file is not a ledger, or of a newer version than this program.
        """
        self.path = path
        try:
            claim_database(path)
            # Transactions are begun by hand: Python's own would begin as readers.
            self.db = sqlite3.connect(path, isolation_level=None)
            self.db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_ENTRY_BYTES)
            # A damaged text is for the chain to find; it must not raise before.
            self.db.text_factory = lambda text: text.decode(errors="replace")
            self.db.execute("PRAGMA trusted_schema = OFF")
            self._check_content()
            self.db.execute("PRAGMA journal_mode = WAL")
            self.db.execute("PRAGMA synchronous = FULL")
            self.db.execute(f"PRAGMA journal_size_limit = {_JOURNAL_BYTES}")
            self._prepare()
            self._page_bytes = self._pages("page_size")
        except (sqlite3.Error, OSError, ValueError) as error:
            raise RunError(f"cannot open the energy ledger {path}: {error}") from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """``BEGIN IMMEDIATE`` to ``COMMIT``, or to ``ROLLBACK`` if the block raises."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.db.execute("COMMIT")
        finally:
            if self.db.in_transaction:  # the block raised, or the disk had no room for its end
                self.db.execute("ROLLBACK")

    def about(self) -> tuple[bytes, Head]:
        """Return the ledger's random name, and the chain's head.

        Raises:
            RunError: The file cannot be read as a ledger.
        """
        try:
            ledger, number, hash_ = self.db.execute("SELECT * FROM about").fetchone()
            return bytes(ledger), Head(int(number), bytes(hash_))
        except (sqlite3.Error, TypeError, ValueError) as error:
            raise RunError(f"cannot read the energy ledger {self.path}: {error}") from error

    def entries(self) -> list[Entry]:
        """Return all entries, oldest first.

        Raises:
            RunError: The file cannot be read as a ledger.
        """
        try:
            rows = self.db.execute("SELECT number, text, hash FROM entries ORDER BY number")
            return [Entry(number, str(text), _bytes(hash_)) for number, text, hash_ in rows]
        except sqlite3.Error as error:
            raise RunError(f"cannot read the energy ledger {self.path}: {error}") from error

    def add(self, texts: Iterable[str]) -> tuple[bytes, Head]:
        """Add entries to the chain's end; return what :meth:`about` does then.

        Belongs in a transaction.
        """
        ledger, head = self.about()
        rows = []
        for text in texts:
            head = link(head, text)
            rows.append((head.number, text, head.hash))
        self.db.executemany("INSERT INTO entries VALUES (?, ?, ?)", rows)
        self.db.execute("UPDATE about SET number = ?, hash = ?", (head.number, head.hash))
        return ledger, head

    def holds_more_than(self, most_bytes: int) -> bool:
        """Say whether entries and tables take more than so many bytes."""
        if self._pages("page_count") * self._page_bytes <= most_bytes:
            return False  # the whole file is smaller, whatever is free in it
        used = self._pages("page_count") - self._pages("freelist_count")
        return used * self._page_bytes > most_bytes

    def _pages(self, what: str) -> int:
        return int(self.db.execute(f"PRAGMA {what}").fetchone()[0])

    def _check_content(self) -> None:
        """See that the file holds a ledger's tables and nothing else.

        It may be another's, and SQL that he put there would be run by ours: a view in the place
        of a table can compute for ever, a trigger can change what is appended.

        Raises:
            ValueError: It holds something else.
        """
        (version,) = self.db.execute("PRAGMA user_version").fetchone()
        if version in (0, 1):
            own = "type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
            found = self.db.execute(f"SELECT name FROM sqlite_master WHERE NOT ({own})")
        elif version == SCHEMA_VERSION:
            # The view `energy` is for people, and no statement of ours reads it.
            own = "sql IN (?, ?, ?) OR type = 'view' AND name = 'energy'"
            tables = (*_TABLES, f"CREATE TABLE {_PROVEN_TABLE}")
            found = self.db.execute(f"SELECT name FROM sqlite_master WHERE NOT ({own})", tables)
        else:
            return  # of another version, which is said with more use than what it holds
        if name := found.fetchone():
            raise ValueError(f"it holds {name[0]!r:.60}, which no ledger has")

    def _prepare(self) -> None:
        with self.transaction():
            (version,) = self.db.execute("PRAGMA user_version").fetchone()
            if version not in (0, 1, SCHEMA_VERSION):
                raise ValueError(f"it has schema {version}, this version reads {SCHEMA_VERSION}")
            if version == SCHEMA_VERSION:
                self._begin_proving()
                return
            if version == 0 and self.db.execute("SELECT 1 FROM sqlite_master").fetchone():
                raise ValueError("it is a database of something else")
            old = self._take_schema_1() if version == 1 else []
            for statement in _SCHEMA:
                self.db.execute(statement)
            ledger = os.urandom(16)
            start = genesis(ledger)
            self.db.execute("INSERT INTO about VALUES (?, ?, ?)", (ledger, 0, start.hash))
            self.add([to_text(record) for record in old])
            self._begin_proving()

    def _begin_proving(self) -> None:
        """Note, once, from which entry on heads are told with a proof."""
        for statement in _PROVEN:
            self.db.execute(statement)

    def _take_schema_1(self) -> list[EnergyRecord]:
        columns = ", ".join(COLUMNS)
        rows = self.db.execute(f"SELECT {columns} FROM energy ORDER BY rowid").fetchall()
        self.db.execute("DROP TABLE energy")
        return [upgrade_row(dict(zip(COLUMNS, row, strict=True))) for row in rows]


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else b""
