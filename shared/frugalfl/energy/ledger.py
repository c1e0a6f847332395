"""The energy ledger: one SQLite file on the device, written before anything is reported.

Append-only and hash-chained (:mod:`frugalfl.energy.hash_chain`). SQLite in write-ahead mode, and
every commit is on the disk before :meth:`Ledger.append` returns (``synchronous = FULL``): neither a
killed process nor a cut power supply loses or damages what was appended.

It is bounded: once it holds more than ``most_bytes``, the older half of the records goes, and a
*seal* stays in the chain: how many went, what they added up to, and the hash that the rest of the
chain begins from. A seal counts what older seals counted.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frugalfl.atomic import claim_database
from frugalfl.energy.hash_chain import Entry, Head, fault, genesis, is_proven, link, mark_of, proven
from frugalfl.energy.record import SCHEMA_VERSION, EnergyRecord, known_sum
from frugalfl.energy.record_json import canonical, from_text, parse, to_text
from frugalfl.energy.record_sums import totals
from frugalfl.energy.schema1 import COLUMNS, upgrade_row
from frugalfl.errors import RunError

#: A ledger takes at most about this much of the device's disk (B), and its write-ahead file 4 MB.
MOST_BYTES = 16_000_000
_JOURNAL_BYTES = 4_000_000
#: Largest value in it (B); a record takes about 1 kB.
_MOST_ENTRY_BYTES = 1 << 20
_SEAL = '{"seal":'
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
    f"CREATE VIEW energy AS SELECT number{_VIEW} FROM entries WHERE text NOT LIKE '{_SEAL}%'",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)
#: From which entry on each head that was told carried a proof: older ledgers told heads without.
_PROVEN_TABLE = "proven (since INTEGER NOT NULL)"
_PROVEN = (
    f"CREATE TABLE IF NOT EXISTS {_PROVEN_TABLE}",
    "INSERT INTO proven SELECT number + 1 FROM about WHERE NOT EXISTS (SELECT 1 FROM proven)",
)


@dataclass(frozen=True)
class LedgerCheck:
    """What verifying found.

    Attributes:
        records: Records that the ledger holds.
        sealed: Records that rotation has dropped before them.
        fault: What is wrong, in one line that names the first bad record; empty: nothing.
    """

    records: int
    sealed: int
    fault: str


class Ledger:
    """An append-only, hash-chained table of :class:`EnergyRecord`; create it or open it by path."""

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        """Open the ledger, creating it if there is none; one of schema 1 is brought up to date.

        Raises:
            RunError: The file is not a ledger, or of a newer version than this program.
        """
        self.path = path
        self._most_bytes = most_bytes
        try:
            claim_database(path)
            # Transactions are begun by hand: Python's own would begin as readers.
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_ENTRY_BYTES)
            # A damaged text is for the chain to find; it must not raise before.
            self._db.text_factory = lambda text: text.decode(errors="replace")
            self._db.execute("PRAGMA trusted_schema = OFF")
            self._check_content()
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute(f"PRAGMA journal_size_limit = {_JOURNAL_BYTES}")
            self._prepare()
        except (sqlite3.Error, OSError, ValueError) as error:
            raise RunError(f"cannot open the energy ledger {path}: {error}") from error

    def append(self, records: Iterable[EnergyRecord]) -> Head:
        """Add records in one transaction: all of them or none.

        Returns:
            The chain's head after them, for others to remember, with this ledger's proof.

        Raises:
            RunError: The file cannot be written.
        """
        try:
            with _Transaction(self._db):
                head = self._add([to_text(record) for record in records])
                if self._used_bytes() > self._most_bytes:
                    head = self._rotate(head)
                head = proven(self._about()[0], head)
        except (sqlite3.Error, ValueError, TypeError, KeyError) as error:
            raise RunError(f"cannot write the energy ledger {self.path}: {error}") from error
        return head

    def records(self) -> list[EnergyRecord]:
        """Return all records, oldest first.

        Raises:
            RunError: The file cannot be read as a ledger.
        """
        found = []
        for entry in self._entries():
            try:
                if not entry.text.startswith(_SEAL):
                    found.append(from_text(entry.text))
            except ValueError as error:
                raise RunError(
                    f"record {entry.number} of the energy ledger {self.path} cannot be read: "
                    f"{error}; see frugalfl energy verify"
                ) from error
        return found

    def clients(self) -> set[str]:
        """Return the numbers of the clients that this device has been.

        Raises:
            RunError: The file cannot be read as a ledger.
        """
        found = set()
        for entry in self._entries():
            try:
                found.add(str(parse(entry.text)["client"]))
            except (ValueError, TypeError, KeyError):
                continue  # a seal, or damage that the chain will name
        return found

    def verify(self, seen: Mapping[int, bytes] | None = None) -> LedgerCheck:
        """Follow the chain from its beginning to its end.

        Args:
            seen: Hashes by number that the server was told of.

        Raises:
            RunError: The file cannot be read as a ledger.
        """
        entries = self._entries()
        ledger, end = self._about()
        start, sealed = genesis(ledger), 0
        seals = [entry for entry in entries if entry.text.startswith(_SEAL)]
        if seals and entries[0].number > 1:
            try:
                seal = parse(seals[-1].text)["seal"]
                start, sealed = Head(seal["last"], bytes.fromhex(seal["hash"])), seal["records"]
            except (ValueError, TypeError, KeyError):
                pass  # then the chain does not begin where it should, and record 1 is missing
        known = {number: hash for number, hash in (seen or {}).items() if number > start.number}
        records = len(entries) - len(seals)
        return LedgerCheck(records, sealed, fault(start, entries, end, known))

    def head(self) -> Head:
        """Return the chain's head.

        Raises:
            RunError: The file cannot be read as a ledger.
        """
        return self._about()[1]

    @property
    def mark(self) -> bytes:
        """What this ledger is known by to others.

        Raises:
            RunError: The file cannot be read as a ledger.
        """
        return mark_of(self._about()[0])

    def has_told(self, head: Head) -> bool:
        """Say whether this ledger told a head that somebody kept.

        One without a proof counts only if it is older than the first head that had one.

        Raises:
            RunError: The file cannot be read as a ledger.
        """
        if head.proof:
            return is_proven(self._about()[0], head)
        (since,) = self._db.execute("SELECT max(since) FROM proven").fetchone()
        return since is not None and head.number < since

    def close(self) -> None:
        """Close the file; nothing is lost without it."""
        self._db.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_content(self) -> None:
        """See that the file holds a ledger's tables and nothing else.

        It may be another's, and SQL that he put there would be run by ours: a view in the place
        of a table can compute for ever, a trigger can change what is appended.

        Raises:
            ValueError: It holds something else.
        """
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version in (0, 1):
            own = "type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
            found = self._db.execute(f"SELECT name FROM sqlite_master WHERE NOT ({own})")
        elif version == SCHEMA_VERSION:
            # The view `energy` is for people, and no statement of ours reads it.
            own = "sql IN (?, ?, ?) OR type = 'view' AND name = 'energy'"
            tables = (*_TABLES, f"CREATE TABLE {_PROVEN_TABLE}")
            found = self._db.execute(f"SELECT name FROM sqlite_master WHERE NOT ({own})", tables)
        else:
            return  # of another version, which is said with more use than what it holds
        if name := found.fetchone():
            raise ValueError(f"it holds {name[0]!r:.60}, which no ledger has")

    def _prepare(self) -> None:
        with _Transaction(self._db):
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version not in (0, 1, SCHEMA_VERSION):
                raise ValueError(f"it has schema {version}, this version reads {SCHEMA_VERSION}")
            if version == SCHEMA_VERSION:
                self._begin_proving()
                return
            if version == 0 and self._db.execute("SELECT 1 FROM sqlite_master").fetchone():
                raise ValueError("it is a database of something else")
            old = self._take_schema_1() if version == 1 else []
            for statement in _SCHEMA:
                self._db.execute(statement)
            ledger = os.urandom(16)
            start = genesis(ledger)
            self._db.execute("INSERT INTO about VALUES (?, ?, ?)", (ledger, 0, start.hash))
            self._add([to_text(record) for record in old])
            self._begin_proving()

    def _begin_proving(self) -> None:
        """Note, once, from which entry on heads are told with a proof."""
        for statement in _PROVEN:
            self._db.execute(statement)

    def _take_schema_1(self) -> list[EnergyRecord]:
        columns = ", ".join(COLUMNS)
        rows = self._db.execute(f"SELECT {columns} FROM energy ORDER BY rowid").fetchall()
        self._db.execute("DROP TABLE energy")
        return [upgrade_row(dict(zip(COLUMNS, row, strict=True))) for row in rows]

    def _add(self, texts: Iterable[str]) -> Head:
        head = self._about()[1]
        rows = []
        for text in texts:
            head = link(head, text)
            rows.append((head.number, text, head.hash))
        self._db.executemany("INSERT INTO entries VALUES (?, ?, ?)", rows)
        self._db.execute("UPDATE about SET number = ?, hash = ?", (head.number, head.hash))
        return head

    def _rotate(self, head: Head) -> Head:
        """Drop the older half of the records, and put a seal for them at the chain's end."""
        entries = self._entries()
        dropped = entries[: len(entries) // 2]
        if not dropped:
            return head
        seals = [parse(e.text)["seal"] for e in entries if e.text.startswith(_SEAL)]
        gone = totals(from_text(e.text) for e in dropped if not e.text.startswith(_SEAL))
        before = seals[-1] if seals else {}
        seal = {
            "last": dropped[-1].number,
            "hash": dropped[-1].hash.hex(),
            "records": before.get("records", 0) + gone.records,
            "measured_j": known_sum([before.get("measured_j"), gone.measured_j]),
            "estimated_j": known_sum([before.get("estimated_j"), gone.estimated_j]),
        }
        head = self._add([canonical({"seal": seal})])
        self._db.execute("DELETE FROM entries WHERE number <= ?", (dropped[-1].number,))
        return head

    def _used_bytes(self) -> int:
        size, pages, free = (
            self._db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_size", "page_count", "freelist_count")
        )
        return int(size * (pages - free))

    def _about(self) -> tuple[bytes, Head]:
        try:
            ledger, number, hash_ = self._db.execute("SELECT * FROM about").fetchone()
            return bytes(ledger), Head(int(number), bytes(hash_))
        except (sqlite3.Error, TypeError, ValueError) as error:
            raise RunError(f"cannot read the energy ledger {self.path}: {error}") from error

    def _entries(self) -> list[Entry]:
        try:
            rows = self._db.execute("SELECT number, text, hash FROM entries ORDER BY number")
            return [Entry(number, str(text), _bytes(hash_)) for number, text, hash_ in rows]
        except sqlite3.Error as error:
            raise RunError(f"cannot read the energy ledger {self.path}: {error}") from error


class _Transaction:
    """``BEGIN IMMEDIATE`` to ``COMMIT``, or to ``ROLLBACK`` if the block raises."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: Any, *_: object) -> None:
        try:
            if kind is None:
                self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:  # the block raised, or the disk had no room for its end
                self._db.execute("ROLLBACK")


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else b""
