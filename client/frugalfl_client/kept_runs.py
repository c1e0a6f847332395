"""What a device holds of its runs, as rows of its store: in two slots that are written in turn.

A server that was stopped in the middle of a round and resumes its run asks for that round again. So
the state before the last request is kept beside the newest one, and a device whose work was in vain
goes back to it. What belongs together has a checksum, which is compared at each read; a part that
does not agree is dropped.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from frugalfl.blocks import FloatArray
from frugalfl_client.held import Held

#: Runs that take turns on a device keep their state; the one unused the longest is dropped.
KEPT_RUNS = 4
SCHEMA = """
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
"""
#: Parts of a run, as they are called in :class:`Held`.
_TREES, _BASE, _FOLD = "trees", "base", "fold"
_KINDS = ("model", _BASE, _FOLD, "residual", "private", _TREES)
#: Those that not every run has.
_SOMETIMES = (_BASE, _FOLD, _TREES)
#: Of these, what the version is of: it has no meaning without them.
_VERSIONED = ("model", _BASE, _FOLD, _TREES)

#: Rows of one slot of a run.
_IN_SLOT = f"run = ? AND kind IN ({', '.join('?' * len(_KINDS))})"

_Row = tuple[Any, ...]
_Database = sqlite3.Connection


def names(db: _Database) -> tuple[str, ...]:
    """Return the names of all runs."""
    return tuple(str(run) for (run,) in db.execute("SELECT run FROM runs").fetchall())


def load_run(db: _Database, run: str) -> Held:
    """Return what is held of a run; ``damage`` says which parts did not agree."""
    row = db.execute(
        "SELECT slot, version, round, attempt FROM slots WHERE run = ? "
        "ORDER BY saved DESC LIMIT 1", (run,)
    ).fetchone()  # fmt: skip
    if row is None:  # a store of before there were slots
        row = db.execute("SELECT 0, version, 0, 0 FROM runs WHERE run = ?", (run,)).fetchone()
    checksums = dict(db.execute("SELECT kind, checksum FROM parts WHERE run = ?", (run,)))
    if row is None and not checksums:
        return Held()
    slot, version, *when = (0, -1, 0, 0) if row is None else row
    round_, attempt = (number if isinstance(number, int) else 0 for number in when)
    held = Held(version, round=round_, attempt=attempt)
    lost = _fill(held, run, slot, checksums, _rows_of(db, run, slot))
    if set(_VERSIONED) & set(lost):
        held.version = -1
    if lost:
        held.damage = f"the device's store was damaged: {', '.join(lost)} lost"
    return held


def _fill(
    held: Held, run: str, slot: int, checksums: Mapping[str, Any], rows: Mapping[str, list[_Row]]
) -> list[str]:
    """Take the parts that agree with their checksums into ``held``; return the others."""
    lost = []
    for kind in _KINDS:
        own = _in_slot(kind, slot)
        if kind in _SOMETIMES and own not in checksums and own not in rows:
            continue
        found = rows.get(own, [])
        if checksums.get(own) == _checksum(run, kind, held.version, found):
            setattr(held, kind, _READERS.get(kind, _tensors)(found))
        else:
            lost.append(kind)
    return lost


def replace_run(db: _Database, run: str, held: Held, slot: int | None = None) -> None:
    """Write a state into a slot, by default not over the newest one."""
    newest, used, saved = db.execute(
        "SELECT (SELECT slot FROM slots WHERE run = ? ORDER BY saved DESC LIMIT 1), "
        "(SELECT coalesce(max(used), 0) + 1 FROM runs), "
        "(SELECT coalesce(max(saved), 0) + 1 FROM slots)", (run,)
    ).fetchone()  # fmt: skip
    if slot is None:
        slot = 0 if newest is None else 1 - newest
    db.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?)", (run, used, held.version))
    if newest is None:
        _make_room(db)  # only a run that was not here takes another's place
    _empty(db, run, slot)
    db.execute(
        "INSERT OR REPLACE INTO slots VALUES (?, ?, ?, ?, ?, ?)",
        (run, slot, saved, held.version, held.round, held.attempt),
    )
    for kind in _KINDS:
        if kind not in _SOMETIMES or getattr(held, kind):
            _insert(db, run, held.version, kind, slot, _rows(getattr(held, kind)))


def _make_room(db: _Database) -> None:
    """Drop the runs that were not used the longest, and whatever is of no run."""
    db.execute(
        "DELETE FROM runs WHERE run NOT IN (SELECT run FROM runs ORDER BY used DESC LIMIT ?)",
        (KEPT_RUNS,),
    )
    for table in ("slots", "parts", "tensors"):
        db.execute(f"DELETE FROM {table} WHERE run NOT IN (SELECT run FROM runs)")


def go_back(db: _Database, run: str) -> None:
    """Drop the newest state of a run; where there was none before it, the run is unknown."""
    slot = newest_slot(db, run)
    db.execute("DELETE FROM slots WHERE run = ? AND slot = ?", (run, slot))
    _empty(db, run, slot)
    if not _knows(db, run):
        for table in ("runs", "parts", "tensors"):
            db.execute(f"DELETE FROM {table} WHERE run = ?", (run,))


def newest_slot(db: _Database, run: str) -> int:
    """Return the slot that holds the newest state of a run."""
    row = db.execute(
        "SELECT slot FROM slots WHERE run = ? ORDER BY saved DESC LIMIT 1", (run,)
    ).fetchone()
    return 0 if row is None else int(row[0])


def _knows(db: _Database, run: str) -> bool:
    found = db.execute("SELECT 1 FROM slots WHERE run = ? LIMIT 1", (run,)).fetchone()
    return found is not None


def _empty(db: _Database, run: str, slot: int) -> None:
    for table in ("parts", "tensors"):
        db.execute(f"DELETE FROM {table} WHERE {_IN_SLOT}", (run, *_parts_in(slot)))


def _insert(db: _Database, run: str, version: int, kind: str, slot: int, rows: list[_Row]) -> None:
    own = _in_slot(kind, slot)
    db.executemany(
        "INSERT INTO tensors VALUES (?, ?, ?, ?, ?, ?)", [(run, own, *row) for row in rows]
    )
    db.execute(
        "INSERT INTO parts VALUES (?, ?, ?)", (run, own, _checksum(run, kind, version, rows))
    )


def _rows_of(db: _Database, run: str, slot: int) -> dict[str, list[_Row]]:
    """Return the rows of each part in a slot, as they are called in the file."""
    query = f"SELECT kind, place, name, shape, data FROM tensors WHERE {_IN_SLOT}"
    rows: dict[str, list[_Row]] = {}
    # Sorted here: SQLite would copy the tensors for it.
    for kind, *row in sorted(db.execute(query, (run, *_parts_in(slot))), key=_place):
        rows.setdefault(kind, []).append(tuple(row))
    return rows


def _place(row: _Row) -> tuple[bool, Any]:
    """Return what rows are sorted by; a damaged place may be anything."""
    return (isinstance(row[1], int), row[1] if isinstance(row[1], int) else repr(row[1]))


def _parts_in(slot: int) -> list[str]:
    return [_in_slot(kind, slot) for kind in _KINDS]


def _in_slot(kind: str, slot: int) -> str:
    """Return what a part is called in the file: in the first slot as ever."""
    return f"{kind}-{slot}" if slot else kind


def _rows(kept: Mapping[str, FloatArray] | Sequence[bytes | int]) -> list[_Row]:
    if not isinstance(kept, Mapping):
        return [
            (place, str(place), "", str(one).encode() if isinstance(one, int) else one)
            for place, one in enumerate(kept)
        ]
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


def _numbers(rows: list[_Row]) -> tuple[int, ...]:
    return tuple(int(data) for *_, data in rows)


#: What reads the rows of a part that is not made of tensors.
_READERS: dict[str, Callable[[list[_Row]], Any]] = {_TREES: _segments, _FOLD: _numbers}


def _checksum(run: str, kind: str, version: Any, rows: list[_Row]) -> bytes:
    """Return 128 bits over one part of a run; the version belongs to the model, or trees."""
    about_part = (run, kind, version if kind in _VERSIONED else None)
    digest = hashlib.blake2b(repr(about_part).encode(), digest_size=16)
    for *about, data in rows:
        # A damaged row may hold anything: where its data is no bytes, repr makes it differ.
        digest.update(repr((about, len(data) if isinstance(data, bytes) else data)).encode())
        digest.update(data if isinstance(data, bytes) else b"")
    return digest.digest()
