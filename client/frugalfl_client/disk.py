"""Where a device keeps what it holds and what it used: its own files, or its part of shared ones.

A device has a store and a ledger on its own disk. A simulation of ten thousand devices keeps those
of all in two files, and gives each of them this interface.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from frugalfl.energy import EnergyRecord, Head, Ledger
from frugalfl.errors import RunError
from frugalfl_client.held import Held
from frugalfl_client.store import Store


class KeepsState(Protocol):
    """What :class:`~frugalfl_client.store.Store` does, method by method."""

    def load(self, run: str, resumed: Sequence[int] = (), again: int = -1) -> Held:
        """Return what is held of a run."""

    def save(self, run: str, held: Held) -> None:
        """Replace what is kept of a run."""

    def programs(self) -> tuple[str, ...]:
        """Return the digests of the training programs that are kept."""

    def program(self, digest: str) -> bytes | None:
        """Return a training program."""

    def keep_program(self, digest: str, data: bytes) -> None:
        """Keep a training program."""

    def forget_program(self, digest: str) -> None:
        """Drop a training program."""

    def trial(self, digest: str) -> str | None:
        """Return which trainer was cheaper than a program's rival."""

    def keep_trial(self, digest: str, trainer: str) -> None:
        """Keep which trainer turned out cheaper."""


class KeepsRecords(Protocol):
    """What a device asks of :class:`~frugalfl.energy.ledger.Ledger`."""

    def append(self, records: Iterable[EnergyRecord]) -> Head:
        """Add records; return the chain's head after them."""

    def records(self) -> list[EnergyRecord]:
        """Return all records, oldest first."""


class Disk(NamedTuple):
    """What a device keeps.

    Attributes:
        store: What it holds of its runs.
        ledger: Its energy records.
        notice: What was wrong with them, in one line; empty: nothing.
    """

    store: KeepsState
    ledger: KeepsRecords
    notice: str = ""


def own_disk(folder: Path) -> Disk:
    """Open a device's own files.

    Raises:
        RunError: They cannot be opened.
    """
    store = Store(folder / "store.sqlite")
    return Disk(store, *_ledger(folder / "ledger.sqlite"))


def _ledger(path: Path) -> tuple[Ledger, str]:
    """Open the ledger; one that is damaged is set aside, and the device can go on training."""
    try:
        return Ledger(path), ""
    except RunError as error:
        if type(error.__cause__) is not sqlite3.DatabaseError:  # its subclasses may pass by
            raise
        aside = path.with_name(path.name + ".damaged")
        os.replace(path, aside)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        return Ledger(path), f"{error}; it is set aside as {aside.name}, and a new one begins"
