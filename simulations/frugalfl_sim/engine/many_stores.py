"""What all simulated devices keep between rounds, in one SQLite file.

Each has the interface of a device's own :class:`~frugalfl_client.store.Store`. A model that many of
them hold is here once: they are led to the same version by the same frames. What is a device's own
(the residual of its codec, its private blocks, its trees) lies in its own row.

Everything is on the disk after :meth:`ManyStores.flush`: all that a push of messages changed, or
nothing of it, so that a killed simulation resumes.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from frugalfl.blocks import FloatArray, Parameters
from frugalfl.errors import RunError
from frugalfl.own_database import open_database
from frugalfl_client import kept_programs
from frugalfl_client.held import Held

#: What the file is called, among a run's devices.
FILE = "stores.sqlite"
_TABLES = (
    """models (
    id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, data BLOB NOT NULL)""",
    """states (
    client INTEGER NOT NULL, run TEXT NOT NULL, slot INTEGER NOT NULL, saved INTEGER NOT NULL,
    version INTEGER NOT NULL, round INTEGER NOT NULL, attempt INTEGER NOT NULL,
    model INTEGER NOT NULL, base INTEGER NOT NULL, fold TEXT NOT NULL,
    residual BLOB NOT NULL, private BLOB NOT NULL, trees BLOB NOT NULL,
    PRIMARY KEY (client, run, slot)) WITHOUT ROWID""",
    """kept (
    client INTEGER NOT NULL, digest TEXT NOT NULL, used INTEGER NOT NULL,
    PRIMARY KEY (client, digest)) WITHOUT ROWID""",
    "files (digest TEXT PRIMARY KEY, data BLOB NOT NULL)",
    """trials (
    client INTEGER NOT NULL, digest TEXT NOT NULL, trainer TEXT NOT NULL,
    PRIMARY KEY (client, digest)) WITHOUT ROWID""",
)
_NEWEST = (
    "SELECT slot, version, round, attempt, model, base, fold, residual, private, trees "
    "FROM states WHERE client = ? AND run = ? ORDER BY saved DESC LIMIT 1"
)
_SAVE = "INSERT OR REPLACE INTO states VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_UNUSED = (
    "SELECT id FROM models WHERE id NOT IN (SELECT model FROM states) "
    "AND id NOT IN (SELECT base FROM states)"
)
#: Models that stay in memory, and pushes of messages after which unused ones leave the disk.
_AT_HAND, _CLEAN = 128, 64
#: Stands for no tensors at all, and for no fold.
_NOTHING, _NO_FOLD = 0, "[]"
#: A state without anything of the device's own: slot, version, round, attempt, model, base, fold.
_State = tuple[int, int, int, int, int, int, tuple[int, ...]]


class ManyStores:
    """One file; create it or open it by path."""

    def __init__(self, path: Path) -> None:
        """Open the file, creating it if there is none.

        Raises:
            RunError: It cannot be opened.
        """
        self.path = path
        self._newest: dict[tuple[int, str], _State] = {}
        self._new: dict[tuple[int, str, int], tuple[Any, ...]] = {}
        self._by_number: dict[int, Parameters] = {}
        self._by_identity: dict[int, tuple[Parameters, int]] = {}
        self._flushed = 0
        try:
            self._db = open_database(path, _TABLES)
            newest = self._db.execute("SELECT coalesce(max(saved), 0) FROM states").fetchone()
            self._saved = int(newest[0])
        except (sqlite3.Error, OSError, ValueError) as error:
            raise RunError(f"cannot open the devices' stores {path}: {error}") from error

    def of(self, client: int) -> StoreOfMany:
        """Return the store of one device."""
        return StoreOfMany(self, client)

    def load(self, client: int, run: str, resumed: Sequence[int], again: int) -> Held:
        """Return what a device holds of a run; see :meth:`~frugalfl_client.store.Store.load`."""
        key = (client, run)
        held, slot = self._held(key)
        if held.was_in_vain(resumed, again):
            self.change("DELETE FROM states WHERE client = ? AND run = ? AND slot = ?", *key, slot)
            self._newest.pop(key, None)
            held, _ = self._held(key)
        return held

    def save(self, client: int, run: str, held: Held) -> None:
        """Keep a device's state beside the one before it."""
        key = (client, run)
        slot = 1 - self._held(key)[1]
        self._saved += 1
        model, base = self._number_of(held.model), self._number_of(held.base)
        own = (_packed(held.residual), _packed(held.private), _together(held.trees))
        self._new[client, run, slot] = (
            client, run, slot, self._saved, held.version, held.round, held.attempt, model, base,
            json.dumps(held.fold) if held.fold else _NO_FOLD, *own,
        )  # fmt: skip
        if any(own):  # may be as large as a model, and is read again when it is needed
            self._newest.pop(key, None)
        else:
            state = (slot, held.version, held.round, held.attempt, model, base, held.fold)
            self._newest[key] = state

    def rows(self, query: str, *arguments: Any) -> list[Any]:
        """Return what a query finds.

        Raises:
            RunError: The file cannot be read.
        """
        try:
            self._write()
            return self._db.execute(query, arguments).fetchall()
        except sqlite3.Error as error:
            raise RunError(f"cannot read the devices' stores {self.path}: {error}") from error

    def change(self, statement: str, *arguments: Any) -> int:
        """Change the file, by the next :meth:`flush`; return the number of a new row.

        Raises:
            RunError: The file cannot be written.
        """
        try:
            self._write()
            self._begin()
            return self._db.execute(statement, arguments).lastrowid or 0
        except sqlite3.Error as error:
            raise RunError(f"cannot write the devices' stores {self.path}: {error}") from error

    def flush(self) -> None:
        """Put all that was changed on the disk.

        Raises:
            RunError: It does not take it.
        """
        self._flushed += 1
        if self._flushed % _CLEAN == 0:
            self._forget_unused()
        try:
            self._write()
            if self._db.in_transaction:
                self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise RunError(f"cannot write the devices' stores {self.path}: {error}") from error

    def close(self) -> None:
        """Put all on the disk, and close the file."""
        self.flush()
        self._db.close()

    def _begin(self) -> None:
        if not self._db.in_transaction:
            self._db.execute("BEGIN IMMEDIATE")

    def _write(self) -> None:
        """Hand the states that are new to SQLite, all in one call."""
        if self._new:
            self._begin()
            self._db.executemany(_SAVE, self._new.values())
            self._new.clear()

    def _held(self, key: tuple[int, str]) -> tuple[Held, int]:
        """Return what a device holds of a run, and in which slot; 1: of nothing."""
        state = self._newest.get(key)
        if state is None:
            return self._read(key)
        slot, version, round_, attempt, model, base, fold = state
        model_, base_ = self._numbered(model), self._numbered(base)
        return Held(version, model_, base_, fold, round=round_, attempt=attempt), slot

    def _read(self, key: tuple[int, str]) -> tuple[Held, int]:
        rows = self.rows(_NEWEST, *key)
        if not rows:
            return Held(), 1
        slot, version, round_, attempt, model, base, text, *own = rows[0]
        fold = tuple(json.loads(text))
        if not any(own):
            self._newest[key] = (slot, version, round_, attempt, model, base, fold)
        return Held(
            version, self._numbered(model), self._numbered(base), fold, _unpacked(own[0]),
            _unpacked(own[1]), _apart(own[2]), round_, attempt,
        ), int(slot)  # fmt: skip

    def _numbered(self, number: int) -> Parameters:
        """Return a model by its number; the same object for everybody who holds it."""
        if number == _NOTHING:
            return {}
        if number not in self._by_number:
            ((data,),) = self.rows("SELECT data FROM models WHERE id = ?", number)
            self._put_at_hand(_unpacked(data), number)
        return self._by_number[number]

    def _number_of(self, model: Parameters) -> int:
        """Return the number of a model, which is kept if it was not before."""
        if not model:
            return _NOTHING
        known = self._by_identity.get(id(model))
        if known is not None:
            return known[1]
        data = _packed(model)
        digest = hashlib.blake2b(data, digest_size=16).digest()
        rows = self.rows("SELECT id FROM models WHERE digest = ?", digest)
        number = (
            int(rows[0][0])
            if rows
            else self.change("INSERT INTO models (digest, data) VALUES (?, ?)", digest, data)
        )
        self._put_at_hand(model, number)
        return number

    def _put_at_hand(self, model: Parameters, number: int) -> None:
        """Hold a model, which many devices share from now on: none may change it."""
        for tensor in model.values():
            tensor.flags.writeable = False
        if len(self._by_identity) >= _AT_HAND:
            old, (_, its_number) = next(iter(self._by_identity.items()))
            del self._by_identity[old]
            self._by_number.pop(its_number, None)
        self._by_number.setdefault(number, model)
        self._by_identity[id(model)] = (model, number)

    def _forget_unused(self) -> None:
        unused = {int(number) for (number,) in self.rows(_UNUSED)}
        for number in unused:
            self.change("DELETE FROM models WHERE id = ?", number)
            self._by_number.pop(number, None)
        self._by_identity = {
            key: pair for key, pair in self._by_identity.items() if pair[1] not in unused
        }


class StoreOfMany:
    """The store of one device; see :class:`~frugalfl_client.store.Store` for what methods do."""

    def __init__(self, many: ManyStores, client: int) -> None:
        self._many = many
        self._client = client

    def load(self, run: str, resumed: Sequence[int] = (), again: int = -1) -> Held:
        """Return what is held of a run: nothing, for a run that is not known."""
        return self._many.load(self._client, run, resumed, again)

    def save(self, run: str, held: Held) -> None:
        """Replace what is kept of a run, all of it or nothing."""
        self._many.save(self._client, run, held)

    def runs(self) -> tuple[str, ...]:
        """Return the names of the runs that are known."""
        query = "SELECT DISTINCT run FROM states WHERE client = ?"
        return tuple(str(run) for (run,) in self._many.rows(query, self._client))

    def programs(self) -> tuple[str, ...]:
        """Return the digests of the training programs that are kept, the last used one first."""
        query = "SELECT digest FROM kept WHERE client = ? ORDER BY used DESC"
        return tuple(str(digest) for (digest,) in self._many.rows(query, self._client))

    def program(self, digest: str) -> bytes | None:
        """Return a training program, and note that it was used; ``None``: it is not kept."""
        query = "SELECT data FROM kept JOIN files USING (digest) WHERE client = ? AND digest = ?"
        rows = self._many.rows(query, self._client, digest)
        if not rows:
            return None
        self._use(digest)
        return bytes(rows[0][0])

    def keep_program(self, digest: str, data: bytes) -> None:
        """Keep a training program, in place of those that were not used the longest."""
        self._many.change("INSERT OR REPLACE INTO files VALUES (?, ?)", digest, data)
        self._use(digest)
        self._many.change(
            "DELETE FROM kept WHERE client = ?1 AND digest != ?2 AND digest NOT IN "
            "(SELECT digest FROM (SELECT digest, sum(length(data)) OVER (ORDER BY used DESC) "
            "AS bytes FROM kept JOIN files USING (digest) WHERE client = ?1) WHERE bytes <= ?3)",
            self._client, digest, kept_programs.KEPT_PROGRAM_BYTES,
        )  # fmt: skip

    def forget_program(self, digest: str) -> None:
        """Drop a training program that turned out to be damaged."""
        self._many.change("DELETE FROM kept WHERE client = ? AND digest = ?", self._client, digest)

    def trial(self, digest: str) -> str | None:
        """Return which trainer a trial of a program found cheaper; ``None``: it was not tried."""
        query = "SELECT trainer FROM trials WHERE client = ? AND digest = ?"
        rows = self._many.rows(query, self._client, digest)
        return str(rows[0][0]) if rows else None

    def keep_trial(self, digest: str, trainer: str) -> None:
        """Keep which trainer turned out cheaper."""
        self._many.change(
            "INSERT OR REPLACE INTO trials VALUES (?, ?, ?)", self._client, digest, trainer
        )

    def close(self) -> None:
        """Do nothing: the file is everybody's."""

    def _use(self, digest: str) -> None:
        self._many.change(
            "INSERT OR REPLACE INTO kept VALUES "
            "(?1, ?2, (SELECT coalesce(max(used), 0) + 1 FROM kept WHERE client = ?1))",
            self._client, digest,
        )  # fmt: skip


def _packed(tensors: Mapping[str, FloatArray]) -> bytes:
    """Return tensors as bytes: names and shapes as JSON with its length before it, then values."""
    if not tensors:
        return b""
    about = json.dumps([(name, tensor.shape) for name, tensor in tensors.items()]).encode()
    values = (np.ascontiguousarray(tensor, "<f4").tobytes() for tensor in tensors.values())
    return b"".join([len(about).to_bytes(4, "little"), about, *values])


def _unpacked(data: bytes) -> Parameters:
    if not data:
        return {}
    start = 4 + int.from_bytes(data[:4], "little")
    tensors: Parameters = {}
    for name, shape in json.loads(data[4:start]):
        size = int(np.prod(shape, dtype=np.int64))
        one = np.frombuffer(data, "<f4", size, start).reshape(shape)
        tensors[name] = one.astype(np.float32)
        start += 4 * size
    return tensors


def _together(segments: Sequence[bytes]) -> bytes:
    return b"".join(len(one).to_bytes(4, "little") + one for one in segments)


def _apart(data: bytes) -> tuple[bytes, ...]:
    found, start = [], 0
    while start < len(data):
        size = int.from_bytes(data[start : start + 4], "little")
        found.append(data[start + 4 : start + 4 + size])
        start += 4 + size
    return tuple(found)
