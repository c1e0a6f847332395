"""The energy ledgers of many simulated devices in one SQLite file, each with its own chain.

A simulation of ten thousand devices cannot keep ten thousand files open. What a device tells in one
answer is one row here, as packed as on the wire (:mod:`frugalfl.energy.packed_records`), with the
hash that its chain then ends in. The records make the same texts again, and so the same hashes.

Rows are on the disk after :meth:`ManyLedgers.flush`, which has to come before anything is reported.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from frugalfl.energy import packed_records
from frugalfl.energy.hash_chain import (
    Entry,
    Head,
    fault,
    genesis,
    is_proven,
    link,
    link_all,
    mark_of,
    proven,
)
from frugalfl.energy.ledger import LedgerCheck
from frugalfl.energy.record import EnergyRecord
from frugalfl.energy.record_json import items_of, object_of, to_text
from frugalfl.errors import RunError
from frugalfl.own_database import open_database

#: What the file is called, among a run's devices.
FILE = "ledgers.sqlite"
_NAME_BYTES = 32
#: The longest bundle (B), as of a ledger's entry.
_MOST_BYTES = 1 << 20
_TABLES = (
    "about (name BLOB NOT NULL)",
    """bundles (
    client INTEGER NOT NULL, number INTEGER NOT NULL, hash BLOB NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (client, number)) WITHOUT ROWID""",
)
_ADD = "INSERT INTO bundles VALUES (?, ?, ?, ?)"
_NEWEST = "SELECT number, hash FROM bundles WHERE client = ? ORDER BY number DESC LIMIT 1"
_ALL = "SELECT number, hash, data FROM bundles WHERE client = ? ORDER BY number"
_CLIENTS = "SELECT DISTINCT client FROM bundles ORDER BY client"


class ManyLedgers:
    """One file with a ledger for each client; create it or open it by path."""

    def __init__(self, path: Path) -> None:
        """Open the file, creating it if there is none.

        Raises:
            RunError: It is no file of ledgers.
        """
        self.path = path
        self._heads: dict[int, Head] = {}
        self._new: list[tuple[int, int, bytes, bytes]] = []
        self._names: dict[int, bytes] = {}
        self._marks: dict[int, bytes] = {}
        try:
            self._db = open_database(path, _TABLES, _MOST_BYTES)
            self._name = self._own_name()
        except (sqlite3.Error, OSError, ValueError) as error:
            raise RunError(f"cannot open the energy ledgers {path}: {error}") from error

    def of(self, client: int) -> LedgerOfMany:
        """Return the ledger of one client."""
        return LedgerOfMany(self, client)

    def clients(self) -> list[int]:
        """Return the numbers of the clients that have records.

        Raises:
            RunError: The file cannot be read.
        """
        return [client for (client,) in self._rows(_CLIENTS, int)]

    def name_of(self, client: int) -> bytes:
        """Return the random name of a client's ledger; it is of no other's."""
        if client not in self._names:
            key = str(client).encode()
            self._names[client] = hashlib.blake2b(key, key=self._name, digest_size=32).digest()
        return self._names[client]

    def head_of(self, client: int) -> Head:
        """Return where a client's chain ends.

        Raises:
            RunError: The file cannot be read.
        """
        if client not in self._heads:
            rows = self._rows(_NEWEST, int, bytes, client=client)
            found = Head(*rows[0]) if rows else genesis(self.name_of(client))
            self._heads[client] = found
        return self._heads[client]

    def append(self, client: int, records: tuple[EnergyRecord, ...]) -> Head:
        """Add records to a client's chain; see :meth:`LedgerOfMany.append`."""
        head = self.head_of(client)
        if not records:
            return self._proven(client, head)
        try:
            rows = [items_of(record) for record in records]
            head = link_all(head, map(object_of, rows))
            packed = packed_records.pack_items(rows)
            packed_records.remember(records, packed)
            self._new.append((client, head.number, head.hash, packed))
        except (ValueError, TypeError) as error:
            raise RunError(f"cannot write the energy ledgers {self.path}: {error}") from error
        self._heads[client] = head
        return self._proven(client, head)

    def _proven(self, client: int, head: Head) -> Head:
        name = self.name_of(client)
        if client not in self._marks:
            self._marks[client] = mark_of(name)
        return proven(name, head, self._marks[client])

    def bundles(self, client: int) -> Iterator[tuple[Head, bytes]]:
        """Yield what a client told, answer by answer: where its chain then ended, and the records.

        Raises:
            RunError: The file cannot be read.
        """
        for number, hash_, data in self._rows(_ALL, int, bytes, bytes, client=client):
            yield Head(number, hash_), data

    def flush(self) -> None:
        """Put everything on the disk.

        Raises:
            RunError: It does not take it.
        """
        try:
            if self._new:
                self._db.execute("BEGIN IMMEDIATE")
                self._db.executemany(_ADD, self._new)
                self._db.execute("COMMIT")
                self._new.clear()
        except sqlite3.Error as error:
            raise RunError(f"cannot write the energy ledgers {self.path}: {error}") from error

    def close(self) -> None:
        """Put everything on the disk, and close the file."""
        self.flush()
        self._db.close()

    def _rows(self, query: str, *types: type, client: int | None = None) -> list[Any]:
        """Return what a query finds, in columns of these types: SQLite promises none.

        Raises:
            RunError: The file cannot be read, or holds others.
        """
        self.flush()
        try:
            rows = self._db.execute(query, () if client is None else (client,)).fetchall()
        except sqlite3.Error as error:
            raise RunError(f"cannot read the energy ledgers {self.path}: {error}") from error
        if any(tuple(map(type, row)) != types for row in rows):
            raise RunError(
                f"the energy ledgers {self.path} are damaged: a row has values of other types"
            )
        return rows

    def _own_name(self) -> bytes:
        self._db.execute("BEGIN IMMEDIATE")
        row = self._db.execute("SELECT name FROM about").fetchone()
        name = secrets.token_bytes(_NAME_BYTES) if row is None else row[0]
        if not isinstance(name, bytes) or len(name) != _NAME_BYTES:
            raise ValueError("their name is damaged")
        if row is None:
            self._db.execute("INSERT INTO about VALUES (?)", (name,))
        self._db.execute("COMMIT")
        return name


class LedgerOfMany:
    """The ledger of one client, as :class:`~frugalfl.energy.ledger.Ledger` is of one device."""

    def __init__(self, many: ManyLedgers, client: int) -> None:
        self._many = many
        self._client = client

    def append(self, records: Iterable[EnergyRecord]) -> Head:
        """Add records: all of them or none; they are on the disk after the file's ``flush``.

        Returns:
            The chain's head after them, with this ledger's proof.

        Raises:
            RunError: The file cannot be written.
        """
        return self._many.append(self._client, tuple(records))

    def records(self) -> list[EnergyRecord]:
        """Return all records, oldest first.

        Raises:
            RunError: The file cannot be read.
        """
        found: list[EnergyRecord] = []
        for end, data in self._many.bundles(self._client):
            try:
                found += packed_records.unpack(data)
            except ValueError as error:
                raise RunError(
                    f"records up to {end.number} of client {self._client} in the energy ledgers "
                    f"{self._many.path} cannot be read: {error}"
                ) from error
        return found

    def clients(self) -> set[str]:
        """Return the number of the client."""
        return {str(self._client)}

    def verify(self, seen: Mapping[int, bytes] | None = None) -> LedgerCheck:
        """Follow the chain from its beginning to its end.

        Args:
            seen: Hashes by number that the server was told of.

        Raises:
            RunError: The file cannot be read.
        """
        start = genesis(self._many.name_of(self._client))
        entries, end = self._entries(start)
        return LedgerCheck(len(entries), 0, fault(start, entries, end, dict(seen or {})))

    def head(self) -> Head:
        """Return the chain's head.

        Raises:
            RunError: The file cannot be read.
        """
        return self._many.head_of(self._client)

    @property
    def mark(self) -> bytes:
        """What this ledger is known by to others."""
        return mark_of(self._many.name_of(self._client))

    def has_told(self, head: Head) -> bool:
        """Say whether this ledger told a head that somebody kept."""
        return bool(head.proof) and is_proven(self._many.name_of(self._client), head)

    def close(self) -> None:
        """Do nothing: the file is everybody's."""

    def _entries(self, start: Head) -> tuple[list[Entry], Head]:
        """Return the entries, of which the last of each row has the hash that the row says."""
        entries: list[Entry] = []
        before = end = start
        for end, data in self._many.bundles(self._client):
            try:
                texts = [to_text(record) for record in packed_records.unpack(data)]
            except ValueError as error:
                texts = [f"damaged: {error}"]
            for place, text in enumerate(texts, end.number - len(texts) + 1):
                before = link(before, text)
                told = end.hash if place == end.number else before.hash
                entries.append(Entry(place, text, told))
        return entries, end
