"""What a device keeps between rounds, on its own disk: the model it holds, and residuals.

One SQLite file for one run at a time: a new run replaces the old one's content, so the disk that a
device needs is bounded by one model and one residual. Every change is one transaction: a device
that loses power in the middle of a round has either the old state or the new one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from frugalfl.blocks import FloatArray
from frugalfl.errors import RunError
from frugalfl_client.held import Held

_SCHEMA = """
CREATE TABLE IF NOT EXISTS held (run TEXT NOT NULL, version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS tensors (
    kind TEXT NOT NULL, place INTEGER NOT NULL, name TEXT NOT NULL,
    shape TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (kind, name));
"""


class Store:
    """The device's state file; create it or open it by path."""

    def __init__(self, path: Path) -> None:
        """Open the store.

        Raises:
            RunError: The file cannot be opened or is not a store.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.executescript(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise RunError(f"cannot open the device's store {path}: {error}") from error

    def load(self, run: str) -> Held:
        """Return what is held of ``run``; nothing, if the store holds another run."""
        row = self._db.execute("SELECT version FROM held WHERE run = ?", (run,)).fetchone()
        if row is None:
            return Held()
        return Held(int(row[0]), self._tensors("model"), self._tensors("residual"))

    def save(self, run: str, held: Held) -> None:
        """Replace the store's content, all of it or nothing."""
        with self._db:
            self._db.execute("DELETE FROM held")
            self._db.execute("DELETE FROM tensors")
            self._db.execute("INSERT INTO held VALUES (?, ?)", (run, held.version))
            self._insert("model", held.model)
            self._insert("residual", held.residual)

    def close(self) -> None:
        """Close the file; nothing is lost without it."""
        self._db.close()

    def _insert(self, kind: str, tensors: Mapping[str, FloatArray]) -> None:
        rows = [
            (
                kind,
                place,
                name,
                ",".join(map(str, tensor.shape)),
                tensor.tobytes(),
            )
            for place, (name, tensor) in enumerate(tensors.items())
        ]
        self._db.executemany("INSERT INTO tensors VALUES (?, ?, ?, ?, ?)", rows)

    def _tensors(self, kind: str) -> dict[str, FloatArray]:
        rows = self._db.execute(
            "SELECT name, shape, data FROM tensors WHERE kind = ? ORDER BY place", (kind,)
        )
        return {
            name: np.frombuffer(data, np.float32)
            .reshape([int(size) for size in shape.split(",") if size])
            .copy()
            for name, shape, data in rows
        }
