"""What a device keeps between rounds, on its own disk: models or trees, residuals, programs.

One SQLite file, in which every run has its own rows; those of the last :data:`KEPT_RUNS` runs are
kept. So the disk that a device needs is bounded by that many models (float16), residuals and
private blocks (float32), all of that twice, :data:`KEPT_PROGRAM_BYTES` of training programs,
whatever run they are of, and as much again where a damaged file was set aside. Every change is one
transaction: a device that loses power in the middle of a round has either the old state or the new
one.

A server that was stopped in the middle of a round and resumes its run asks for that round again. So
the state before the last request is kept beside the newest one, in two slots that are written in
turn, and a device whose work was in vain goes back to it.

Disks of small devices fail. What belongs together has a checksum, which is compared at each read;
a part that does not agree is dropped, and a file that is no database any more is set aside.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from frugalfl.atomic import claim_database
from frugalfl.blocks import FloatArray
from frugalfl.errors import RunError
from frugalfl_client.held import Held

#: Runs that take turns on a device keep their state; the one unused the longest is dropped.
KEPT_RUNS = 4
#: Training programs together (B), the ones unused the longest dropped; one larger than that is kept
#: alone.
KEPT_PROGRAM_BYTES = 8 << 20

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    run TEXT PRIMARY KEY, used INTEGER NOT NULL, version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS parts (
    run TEXT NOT NULL, kind TEXT NOT NULL, checksum BLOB NOT NULL, PRIMARY KEY (run, kind));
CREATE TABLE IF NOT EXISTS tensors (
    run TEXT NOT NULL, kind TEXT NOT NULL, place INTEGER NOT NULL, name TEXT NOT NULL,
    shape TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (run, kind, name));
CREATE TABLE IF NOT EXISTS slots (
    run TEXT NOT NULL, slot INTEGER NOT NULL, saved INTEGER NOT NULL, version INTEGER NOT NULL,
    round INTEGER NOT NULL, attempt INTEGER NOT NULL, PRIMARY KEY (run, slot));
CREATE TABLE IF NOT EXISTS programs (
    digest TEXT PRIMARY KEY, used INTEGER NOT NULL, data BLOB NOT NULL);
"""
#: Parts of a run, as they are called in :class:`Held`.
_TREES = "trees"
_KINDS = ("model", "residual", "private", _TREES)
#: Of these, what the version is of: it has no meaning without them.
_VERSIONED = ("model", _TREES)
#: SQLite's errors that say nothing about the file's content: trying again may help.
_NOT_DAMAGE = (
    "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_NOMEM", "SQLITE_IOERR",
    "SQLITE_CANTOPEN",
)  # fmt: skip

_Row = tuple[Any, ...]
_T = TypeVar("_T")


class Store:
    """The device's state file; create it or open it by path."""

    def __init__(self, path: Path) -> None:
        """Open the store; a damaged file is set aside as ``<name>.damaged``, and begun anew.

        Raises:
            RunError: The file cannot be opened or made.
        """
        self.path = path
        self._damage = ""
        try:
            try:
                self._db = self._connect()
            except sqlite3.Error as error:
                self._check_damaged(error)
                self._begin_anew(error)
        except (sqlite3.Error, OSError) as error:
            raise RunError(f"cannot open the device's store {path}: {error}") from error

    def load(self, run: str, resumed: Sequence[int] = (), again: int = -1) -> Held:
        """Return what is held of ``run``: nothing, for a run that is not known.

        A model whose checksum does not agree is not held at all, so that the next round brings
        a whole one; damaged residuals and private blocks begin anew. ``damage`` says so.

        Args:
            run: Name of the run.
            resumed: As of :class:`~frugalfl.wire.TrainRequest`; what was done in vain is forgotten.
            again: A round that the device is asked for once more; -1: none.

        Raises:
            RunError: The file cannot be read, for another reason than damage.
        """
        held = self._guarded(lambda: self._load(run)) or Held()
        if held.was_in_vain(resumed, again):
            self._guarded(lambda: self._in_transaction(self._go_back, run))
            held = self._guarded(lambda: self._load(run)) or Held()
        if held.damage:
            # What is lost is lost: it is reported once.
            self._guarded(lambda: self._in_transaction(self._replace, run, held, self._slot(run)))
        held.damage = "; ".join(text for text in (self._damage, held.damage) if text)
        self._damage = ""
        return held

    def save(self, run: str, held: Held) -> None:
        """Replace what is kept of a run, all of it or nothing.

        Raises:
            RunError: The file cannot be written, for another reason than damage.
        """
        for _ in range(2):
            if self._guarded(lambda: self._in_transaction(self._replace, run, held)):
                return
        raise RunError(f"the device's store {self.path} is damaged as soon as it is written")

    def programs(self) -> tuple[str, ...]:
        """Return the digests of the training programs that are kept, the last used one first.

        Raises:
            RunError: The file cannot be read, for another reason than damage.
        """
        order = "SELECT digest FROM programs ORDER BY used DESC"
        rows = self._guarded(lambda: self._db.execute(order).fetchall()) or []
        return tuple(str(digest) for (digest,) in rows)

    def program(self, digest: str) -> bytes | None:
        """Return a training program, and note that it was used; ``None``: it is not kept, any more.

        Its bytes are as the disk gave them: whoever reads them checks their digest.

        Raises:
            RunError: The file cannot be read, for another reason than damage.
        """
        row = self._guarded(
            lambda: self._db.execute(
                "UPDATE programs SET used = (SELECT max(used) + 1 FROM programs) WHERE digest = ? "
                "RETURNING data", (digest,)
            ).fetchone()
        )  # fmt: skip
        return None if row is None else bytes(row[0])

    def keep_program(self, digest: str, data: bytes) -> None:
        """Keep a training program, in place of those that were not used the longest.

        Raises:
            RunError: The file cannot be written, for another reason than damage.
        """
        for _ in range(2):
            if self._guarded(lambda: self._in_transaction(self._keep_program, digest, data)):
                return
        raise RunError(f"the device's store {self.path} is damaged as soon as it is written")

    def forget_program(self, digest: str) -> None:
        """Drop a training program that turned out to be damaged."""
        self._guarded(
            lambda: self._db.execute("DELETE FROM programs WHERE digest = ?", (digest,)).rowcount
        )

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
            db.executescript(_SCHEMA)
            (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise sqlite3.DatabaseError(" ".join(str(verdict).split()))
        except BaseException:
            db.close()
            raise
        return db

    def _guarded(self, work: Callable[[], _T]) -> _T | None:
        """Do the work; where the file turns out to be damaged, begin anew and return None."""
        try:
            return work()
        except sqlite3.Error as error:
            try:
                self._check_damaged(error)
                self._db.close()
                self._begin_anew(error)
            except (sqlite3.Error, OSError) as second:
                raise RunError(f"cannot use the device's store {self.path}: {second}") from error
        return None

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

    def _load(self, run: str) -> Held:
        slot = self._slot(run)
        row = self._db.execute(
            "SELECT version, round, attempt FROM slots WHERE run = ? AND slot = ?", (run, slot)
        ).fetchone()
        if row is None:  # a store of before there were slots
            row = self._db.execute(
                "SELECT version, 0, 0 FROM runs WHERE run = ?", (run,)
            ).fetchone()
        checksums = dict(
            self._db.execute("SELECT kind, checksum FROM parts WHERE run = ?", (run,)).fetchall()
        )
        if row is None and not checksums:
            return Held()
        version, *when = (-1, 0, 0) if row is None else row
        round_, attempt = (number if isinstance(number, int) else 0 for number in when)
        held, lost = Held(version, round=round_, attempt=attempt), []
        for kind in _KINDS:
            own = _in_slot(kind, slot)
            rows = self._db.execute(
                "SELECT place, name, shape, data FROM tensors "
                "WHERE run = ? AND kind = ? ORDER BY place",
                (run, own),
            ).fetchall()
            if kind == _TREES and own not in checksums and not rows:
                continue  # a run of a network
            if checksums.get(own) == _checksum(run, kind, held.version, rows):
                setattr(held, kind, _segments(rows) if kind == _TREES else _tensors(rows))
            else:
                lost.append(kind)
        if set(_VERSIONED) & set(lost):
            held.version = -1
        if lost:
            held.damage = f"the device's store was damaged: {', '.join(lost)} lost"
        return held

    def _in_transaction(self, work: Callable[..., None], *arguments: Any) -> bool:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            work(*arguments)
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        return True

    def _keep_program(self, digest: str, data: bytes) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO programs VALUES "
            "(?, (SELECT coalesce(max(used), 0) + 1 FROM programs), ?)", (digest, data),
        )  # fmt: skip
        self._db.execute(
            "DELETE FROM programs WHERE digest != ? AND digest NOT IN (SELECT digest FROM "
            "(SELECT digest, sum(length(data)) OVER (ORDER BY used DESC) AS bytes FROM programs) "
            "WHERE bytes <= ?)", (digest, KEPT_PROGRAM_BYTES),
        )  # fmt: skip

    def _slot(self, run: str) -> int:
        """Return the slot that holds the newest state of a run."""
        row = self._db.execute(
            "SELECT slot FROM slots WHERE run = ? ORDER BY saved DESC LIMIT 1", (run,)
        ).fetchone()
        return 0 if row is None else int(row[0])

    def _knows(self, run: str) -> bool:
        found = self._db.execute("SELECT 1 FROM slots WHERE run = ? LIMIT 1", (run,)).fetchone()
        return found is not None

    def _go_back(self, run: str) -> None:
        """Drop the newest state of a run; where there was none before it, the run is unknown."""
        slot = self._slot(run)
        self._db.execute("DELETE FROM slots WHERE run = ? AND slot = ?", (run, slot))
        self._empty(run, slot)
        if not self._knows(run):
            for table in ("runs", "parts", "tensors"):
                self._db.execute(f"DELETE FROM {table} WHERE run = ?", (run,))

    def _empty(self, run: str, slot: int) -> None:
        for table in ("parts", "tensors"):
            for kind in _KINDS:
                self._db.execute(
                    f"DELETE FROM {table} WHERE run = ? AND kind = ?", (run, _in_slot(kind, slot))
                )

    def _replace(self, run: str, held: Held, slot: int | None = None) -> None:
        """Write a state into a slot, by default not over the newest one."""
        if slot is None:
            slot = 1 - self._slot(run) if self._knows(run) else 0
        (used,) = self._db.execute("SELECT coalesce(max(used), 0) + 1 FROM runs").fetchone()
        self._db.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?)", (run, used, held.version))
        self._db.execute(
            "DELETE FROM runs WHERE run NOT IN (SELECT run FROM runs ORDER BY used DESC LIMIT ?)",
            (KEPT_RUNS,),
        )
        for table in ("slots", "parts", "tensors"):
            self._db.execute(f"DELETE FROM {table} WHERE run NOT IN (SELECT run FROM runs)")
        self._empty(run, slot)
        self._db.execute(
            "INSERT OR REPLACE INTO slots VALUES "
            "(?, ?, (SELECT coalesce(max(saved), 0) + 1 FROM slots), ?, ?, ?)",
            (run, slot, held.version, held.round, held.attempt),
        )
        for kind in _KINDS:
            if kind != _TREES or held.trees:
                self._insert(run, held.version, kind, slot, _rows(getattr(held, kind)))

    def _insert(self, run: str, version: int, kind: str, slot: int, rows: list[_Row]) -> None:
        own = _in_slot(kind, slot)
        self._db.executemany(
            "INSERT INTO tensors VALUES (?, ?, ?, ?, ?, ?)", [(run, own, *row) for row in rows]
        )
        self._db.execute(
            "INSERT INTO parts VALUES (?, ?, ?)", (run, own, _checksum(run, kind, version, rows))
        )


def _in_slot(kind: str, slot: int) -> str:
    """Return what a part is called in the file: in the first slot as ever."""
    return f"{kind}-{slot}" if slot else kind


def _rows(kept: Mapping[str, FloatArray] | Sequence[bytes]) -> list[_Row]:
    if not isinstance(kept, Mapping):
        return [(place, str(place), "", data) for place, data in enumerate(kept)]
    return [
        (place, name, ",".join(map(str, tensor.shape)), tensor.tobytes())
        for place, (name, tensor) in enumerate(kept.items())
    ]


def _tensors(rows: list[_Row]) -> dict[str, FloatArray]:
    return {
        name: np.frombuffer(data, np.float32)
        .reshape([int(size) for size in shape.split(",") if size])
        .copy()
        for _, name, shape, data in rows
    }


def _segments(rows: list[_Row]) -> tuple[bytes, ...]:
    return tuple(data for *_, data in rows)


def _checksum(run: str, kind: str, version: Any, rows: list[_Row]) -> bytes:
    """Return 128 bits over one part of a run; the version belongs to the model, or trees."""
    about_part = (run, kind, version if kind in _VERSIONED else None)
    digest = hashlib.blake2b(repr(about_part).encode(), digest_size=16)
    for *about, data in rows:
        # A damaged row may hold anything: where its data is no bytes, repr makes it differ.
        digest.update(repr((about, len(data) if isinstance(data, bytes) else data)).encode())
        digest.update(data if isinstance(data, bytes) else b"")
    return digest.digest()
