"""What a device keeps between rounds, on its own disk: models or trees, residuals, programs.

One SQLite file, in which every run has its own rows; those of the last :data:`KEPT_RUNS` runs are
kept. So the disk that a device needs is bounded by that many models (float16), residuals and
private blocks (float32), all of that twice, :data:`KEPT_PROGRAM_BYTES` of training programs,
whatever run they are of, and as much again where a damaged file was set aside. Every change is one
transaction: a device that loses power in the middle of a round has either the old state or the new
one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from frugalfl_client import kept_programs, kept_runs
from frugalfl_client.database import Database
from frugalfl_client.held import Held
from frugalfl_client.kept_programs import KEPT_PROGRAM_BYTES
from frugalfl_client.kept_runs import KEPT_RUNS

__all__ = ["KEPT_PROGRAM_BYTES", "KEPT_RUNS", "Store"]


class Store:
    """The device's state file; create it or open it by path."""

    def __init__(self, path: Path) -> None:
        """Open the store; a damaged file is set aside as ``<name>.damaged``, and begun anew.

        Raises:
            RunError: The file cannot be opened or made.
        """
        self.path = path
        self._file = Database(path, kept_runs.SCHEMA + kept_programs.SCHEMA)

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
        held = self._file.read(lambda db: kept_runs.load_run(db, run)) or Held()
        if held.was_in_vain(resumed, again):
            self._file.change(lambda db: kept_runs.go_back(db, run))
            held = self._file.read(lambda db: kept_runs.load_run(db, run)) or Held()
        if held.damage:
            # What is lost is lost: it is reported once.
            self._file.change(
                lambda db: kept_runs.replace_run(db, run, held, kept_runs.newest_slot(db, run))
            )
        held.damage = "; ".join(filter(None, (self._file.take_damage(), held.damage)))
        return held

    def save(self, run: str, held: Held) -> None:
        """Replace what is kept of a run, all of it or nothing.

        Raises:
            RunError: The file cannot be written, for another reason than damage.
        """
        self._file.write(lambda db: kept_runs.replace_run(db, run, held))

    def runs(self) -> tuple[str, ...]:
        """Return the names of the runs that are known.

        Raises:
            RunError: The file cannot be read, for another reason than damage.
        """
        return self._file.read(kept_runs.names) or ()

    def programs(self) -> tuple[str, ...]:
        """Return the digests of the training programs that are kept, the last used one first.

        Raises:
            RunError: The file cannot be read, for another reason than damage.
        """
        return self._file.read(kept_programs.digests) or ()

    def program(self, digest: str) -> bytes | None:
        """Return a training program, and note that it was used; ``None``: it is not kept, any more.

        Its bytes are as the disk gave them: whoever reads them checks their digest.

        Raises:
            RunError: The file cannot be read, for another reason than damage.
        """
        return self._file.read(lambda db: kept_programs.use_program(db, digest))

    def keep_program(self, digest: str, data: bytes) -> None:
        """Keep a training program, in place of those that were not used the longest.

        Raises:
            RunError: The file cannot be written, for another reason than damage.
        """
        self._file.write(lambda db: kept_programs.keep_program(db, digest, data))

    def forget_program(self, digest: str) -> None:
        """Drop a training program that turned out to be damaged."""
        self._file.read(lambda db: kept_programs.forget_program(db, digest))

    def trial(self, digest: str) -> str | None:
        """Return which trainer turned out cheaper than a program's rival; ``None``: not tried.

        Raises:
            RunError: The file cannot be read, for another reason than damage.
        """
        return self._file.read(lambda db: kept_programs.trial(db, digest))

    def keep_trial(self, digest: str, trainer: str) -> None:
        """Keep which trainer turned out cheaper.

        Raises:
            RunError: The file cannot be written, for another reason than damage.
        """
        self._file.write(lambda db: kept_programs.keep_trial(db, digest, trainer))

    def close(self) -> None:
        """Close the file; nothing is lost without it."""
        self._file.close()
