"""Training programs on a device's disk, as rows of its store: the last used ones, within bounds."""

from __future__ import annotations

import sqlite3

from frugalfl.wire import LITERT, TORCH

#: Training programs together (B), the ones unused the longest dropped; one larger than that is kept
#: alone.
KEPT_PROGRAM_BYTES = 8 << 20
#: Trials that are remembered, the newest.
_KEPT_TRIALS = 64
SCHEMA = """
CREATE TABLE IF NOT EXISTS programs (
    digest TEXT PRIMARY KEY, used INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS trials (digest TEXT PRIMARY KEY, trainer TEXT NOT NULL);
"""


def digests(db: sqlite3.Connection) -> tuple[str, ...]:
    """Return the digests of all that are kept, the last used one first."""
    rows = db.execute("SELECT digest FROM programs ORDER BY used DESC").fetchall()
    return tuple(str(digest) for (digest,) in rows)


def use_program(db: sqlite3.Connection, digest: str) -> bytes | None:
    """Return a program, and note that it was used; ``None``: it is not kept, any more."""
    row = db.execute(
        "UPDATE programs SET used = (SELECT max(used) + 1 FROM programs) WHERE digest = ? "
        "RETURNING data", (digest,)
    ).fetchone()  # fmt: skip
    return None if row is None else bytes(row[0])


def keep_program(db: sqlite3.Connection, digest: str, data: bytes) -> None:
    """Keep a program, in place of those that were not used the longest."""
    db.execute(
        "INSERT OR REPLACE INTO programs VALUES "
        "(?, (SELECT coalesce(max(used), 0) + 1 FROM programs), ?)", (digest, data),
    )  # fmt: skip
    db.execute(
        "DELETE FROM programs WHERE digest != ? AND digest NOT IN (SELECT digest FROM "
        "(SELECT digest, sum(length(data)) OVER (ORDER BY used DESC) AS bytes FROM programs) "
        "WHERE bytes <= ?)", (digest, KEPT_PROGRAM_BYTES),
    )  # fmt: skip


def forget_program(db: sqlite3.Connection, digest: str) -> None:
    """Drop a program."""
    db.execute("DELETE FROM programs WHERE digest = ?", (digest,))


def trial(db: sqlite3.Connection, digest: str) -> str | None:
    """Return which trainer a trial of a program found cheaper; ``None``: it was not tried."""
    row = db.execute("SELECT trainer FROM trials WHERE digest = ?", (digest,)).fetchone()
    return row[0] if row is not None and row[0] in (TORCH, LITERT) else None


def keep_trial(db: sqlite3.Connection, digest: str, trainer: str) -> None:
    """Keep which trainer a trial found cheaper, in place of the oldest ones."""
    db.execute("INSERT OR REPLACE INTO trials VALUES (?, ?)", (digest, trainer))
    db.execute(
        "DELETE FROM trials WHERE rowid NOT IN (SELECT rowid FROM trials ORDER BY rowid DESC "
        "LIMIT ?)", (_KEPT_TRIALS,),
    )  # fmt: skip
