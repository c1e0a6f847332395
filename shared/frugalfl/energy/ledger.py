"""The energy ledger: one SQLite file on the device, written before anything is reported.

Append-only and hash-chained (:mod:`frugalfl.energy.hash_chain`). SQLite in write-ahead mode, and
every commit is on the disk before :meth:`Ledger.append` returns (``synchronous = FULL``): neither a
killed process nor a cut power supply loses or damages what was appended.

It is bounded: once it holds more than ``most_bytes``, the older half of the records goes, and a
*seal* stays in the chain: how many went, what they added up to, and the hash that the rest of the
chain begins from. A seal counts what older seals counted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from frugalfl.energy.hash_chain import Head, fault, genesis, is_proven, mark_of, proven
from frugalfl.energy.ledger_file import SEAL, LedgerFile
from frugalfl.energy.record import EnergyRecord, known_sum
from frugalfl.energy.record_json import canonical, from_text, parse, to_text
from frugalfl.energy.record_sums import totals
from frugalfl.errors import RunError

#: A ledger takes at most about this much of the device's disk (B), and its write-ahead file 4 MB.
MOST_BYTES = 16_000_000


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
        self._file = LedgerFile(path)

    def append(self, records: Iterable[EnergyRecord]) -> Head:
        """Add records in one transaction: all of them or none.

        Returns:
            The chain's head after them, for others to remember, with this ledger's proof.

        Raises:
            RunError: The file cannot be written.
        """
        try:
            with self._file.transaction():
                ledger, head = self._file.add([to_text(record) for record in records])
                if self._file.holds_more_than(self._most_bytes):
                    head = self._rotate(head)
                head = proven(ledger, head)
        except (sqlite3.Error, ValueError, TypeError, KeyError) as error:
            raise RunError(f"cannot write the energy ledger {self.path}: {error}") from error
        return head

    def records(self) -> list[EnergyRecord]:
        """Return all records, oldest first.

        Raises:
            RunError: The file cannot be read as a ledger.
        """
        found = []
        for entry in self._file.entries():
            try:
                if not entry.text.startswith(SEAL):
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
        for entry in self._file.entries():
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
        entries = self._file.entries()
        ledger, end = self._file.about()
        start, sealed = genesis(ledger), 0
        seals = [entry for entry in entries if entry.text.startswith(SEAL)]
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
        return self._file.about()[1]

    @property
    def mark(self) -> bytes:
        """What this ledger is known by to others.

        Raises:
            RunError: The file cannot be read as a ledger.
        """
        return mark_of(self._file.about()[0])

    def has_told(self, head: Head) -> bool:
        """Say whether this ledger told a head that somebody kept.

        One without a proof counts only if it is older than the first head that had one.

        Raises:
            RunError: The file cannot be read as a ledger.
        """
        if head.proof:
            return is_proven(self._file.about()[0], head)
        (since,) = self._file.db.execute("SELECT max(since) FROM proven").fetchone()
        return since is not None and head.number < since

    def close(self) -> None:
        """Close the file; nothing is lost without it."""
        self._file.db.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _rotate(self, head: Head) -> Head:
        """Drop the older half of the records, and put a seal for them at the chain's end."""
        entries = self._file.entries()
        dropped = entries[: len(entries) // 2]
        if not dropped:
            return head
        seals = [parse(e.text)["seal"] for e in entries if e.text.startswith(SEAL)]
        gone = totals(from_text(e.text) for e in dropped if not e.text.startswith(SEAL))
        before = seals[-1] if seals else {}
        seal = {
            "last": dropped[-1].number,
            "hash": dropped[-1].hash.hex(),
            "records": before.get("records", 0) + gone.records,
            "measured_j": known_sum([before.get("measured_j"), gone.measured_j]),
            "estimated_j": known_sum([before.get("estimated_j"), gone.estimated_j]),
        }
        _, head = self._file.add([canonical({"seal": seal})])
        self._file.db.execute("DELETE FROM entries WHERE number <= ?", (dropped[-1].number,))
        return head
