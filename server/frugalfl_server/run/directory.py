"""A run: one directory of plain files that other tools read.

    run.json          settings, versions, seed, where the app is
    summary.json      the figures of the run, under stable names (docs/run-directory.md)
    rounds.parquet    one row a round
    energy.parquet    one row a client (or the server), round and phase
    heads.parquet     where each device's energy ledger ended when it answered
    stopped.json      where a phase ended before its last round: why
    fit.json          where there was a budget: the largest model that fits
    programs.json     where clients ran training programs: what was compiled
    progress.log      the lines that a person saw
    attempts.json     with which round the run was begun, and resumed
    app/, app.json    the app's files, as devices get them, and whose word they are
    checkpoints/      the newest global model, and all that resuming takes
    model/            what export made
    report.html       all of it to look at

Every file is replaced as a whole, so a killed run leaves nothing half-written. The folder is its
owner's only: a model, and what each client did, are nobody else's business.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from frugalfl.atomic import make_private_folder, write_atomically, write_json
from frugalfl.blocks import Parameters
from frugalfl.energy import EnergyRecord
from frugalfl.energy.parquet import read_records, read_rows, records_in, rows_in, table_of
from frugalfl.energy.record_json import from_text, to_text
from frugalfl.errors import RunError
from frugalfl.foreign_arrays import read_arrays
from frugalfl.settings import Settings
from frugalfl.text import for_file_name
from frugalfl_server.run.records import HeadRecord, RoundRecord
from frugalfl_server.run.sealed import read_sealed, reading, write_sealed
from frugalfl_server.run.tables import Growing, plain_table_of, write_rows
from frugalfl_server.run.versions import versions
from frugalfl_server.run.watch import tell_watcher

#: Tables are rewritten at most this often (s) while rounds go by, and always at the end.
_FLUSH_EVERY_S = 2.0
#: A flush writes the tables anew. It may take one part in so many of a run's time, however long.
_FLUSH_SHARE = 20
#: JSON files without a checksum: their figures are computed anew from the tables.
_UNSEALED = ("summary.json",)
#: The newest global model.
MODEL = "checkpoints/model.npz"
#: Of which phase and round that is.
MODEL_ABOUT = "checkpoints/model.json"
_STATUSES = ("finished", "interrupted", "failed", "unfinished")
_Record = TypeVar("_Record")
#: Of settings that were ``auto``, by key: what they became, and why, as a person reads it.
Chosen = Mapping[str, str]
#: Folders of a run, which files are written into.
_FOLDERS = ("app", "checkpoints", "devices", "model", "slim")


@contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Blame the files of a run for what goes wrong while they are made sense of.

    They are plain files that anybody may have written or changed.

    Raises:
        RunError: In place of an error that says nothing to who reads it.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise RunError(
            f"a file of the run {path} does not hold what it should "
            f"({type(error).__name__}: {error}); was it damaged, or written by something else?"
        ) from error


class RunDirectory:
    """An open run; use :meth:`create` or :meth:`open`.

    Every file of a run is written and read in one place, a method each; hence more than twelve.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rounds: list[RoundRecord] = []
        self.energy: list[EnergyRecord] = []
        self.heads: list[HeadRecord] = []
        self._model: tuple[Parameters, dict[str, Any]] | None = None
        self._flush_due_s = time.monotonic() + _FLUSH_EVERY_S
        self._written = 0, 0, 0
        self._energy_table: Growing[EnergyRecord] = Growing(table_of, to_text)
        self._heads_table: Growing[HeadRecord] = Growing(
            partial(plain_table_of, HeadRecord), lambda head: json.dumps(vars(head))
        )
        #: JSON files that go with the tables, by name, and what makes them.
        self._later: dict[str, Callable[[], dict[str, Any]]] = {}
        self._sealed = False

    @classmethod
    def create(
        cls,
        root: Path,
        task: str,
        settings: Settings,
        app: Path | None,
        chosen: Chosen | None = None,
    ) -> RunDirectory:
        """Make a new run under ``root`` and point ``root/latest`` at it.

        Args:
            root: Folder of all runs; made where it is missing.
            task: Name of the task, part of the run's name.
            settings: Written into ``run.json``.
            app: Folder of the app, for `frugalfl export`.
            chosen: What became of settings that were ``auto``.

        Raises:
            RunError: The folder cannot be written.
        """
        stamp = time.strftime("%Y%m%d-%H%M%S")
        try:
            path = _new_folder(root, f"{stamp}-{for_file_name(task)}")
            run = cls(path)
            write_sealed(
                path / "run.json",
                {
                    "name": path.name,
                    "task": task,
                    "app": None if app is None else str(app.resolve()),
                    "started_unix_s": time.time(),
                    "settings": settings.as_config(),
                    "chosen": dict(chosen or {}),
                    "versions": versions(),
                    "host": {"system": platform.platform(), "cpus": os.cpu_count()},
                },
                durable=True,
            )
            _point(root / "latest", path.name)
        except OSError as error:
            raise RunError(f"cannot write a run under {root}: {error}") from error
        return run

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """Open a run that exists.

        Raises:
            RunError: The folder is missing, is no run, has links for folders, or a file in it
                cannot be read.
        """
        if not (path / "run.json").is_file():
            raise RunError(
                f"{path} is not a run directory (it has no run.json); see `frugalfl runs`"
            )
        run = cls(path.resolve())
        for name in _FOLDERS:
            if (run.path / name).is_symlink():
                raise RunError(
                    f"{run.path / name} is a link to another place, where files would be written: "
                    "put the folder itself there"
                )
        run.read_json("run.json")
        run.rounds = run._table_of("rounds.parquet", RoundRecord.of_row)
        run.heads = run._table_of("heads.parquet", HeadRecord.of_row)
        energy = run.path / "energy.parquet"
        if os.path.lexists(energy):
            run.energy = read_records(energy)
        else:
            run._check_may_lack(energy)
        return run

    @property
    def name(self) -> str:
        """The run's name: its folder's."""
        return self.path.name

    @property
    def chosen(self) -> Chosen:
        """Settings that were ``auto``; runs of earlier versions have none.

        Raises:
            RunError: ``run.json`` is damaged.
        """
        chosen: Chosen = self.read_json("run.json").get("chosen", {})
        return chosen

    def read_json(self, name: str) -> dict[str, Any]:
        """Read one of the run's JSON files.

        Raises:
            RunError: It is missing or damaged.
        """
        value, sealed = read_sealed(self.path / name)
        if name == "run.json":
            with reading(self.path / name):
                _check_about(value)
            self._sealed = sealed
        elif self._sealed and not sealed and name not in _UNSEALED:
            raise RunError(
                f"{self.path / name} is damaged (its checksum is missing); put a sound copy in its "
                "place"
            )
        return value

    def status(self) -> tuple[str, str | None]:
        """Return the status of ``summary.json`` and its reason; ``unfinished`` where there is none.

        Raises:
            RunError: It is damaged.
        """
        path = self.path / "summary.json"
        if not os.path.lexists(path):
            return "unfinished", None
        known = self.read_json(path.name)
        with reading(path):
            status, reason = known["status"], known.get("reason")
            if status not in _STATUSES or not isinstance(reason, str | None):
                raise ValueError(f"its status is {status!r:.40}")
        return status, reason

    def write_json(self, name: str, value: dict[str, Any]) -> None:
        """Write one of the run's JSON files, atomically."""
        write = write_json if name in _UNSEALED else write_sealed
        write(self.path / name, value, durable=True)

    def write_json_later(self, name: str, make: Callable[[], dict[str, Any]]) -> None:
        """Have a JSON file made and written with the next flush: one that grows with the clients.

        Args:
            name: The file.
            make: Returns what it holds.
        """
        self._later[name] = make

    def add_energy(self, records: Iterable[EnergyRecord]) -> None:
        """Add energy records that belong to no client; they reach the disk with the next flush."""
        self.energy += records

    def add_round(
        self,
        record: RoundRecord,
        energy: Sequence[EnergyRecord] = (),
        heads: Sequence[HeadRecord] = (),
    ) -> None:
        """Add one finished round to the tables; they reach the disk within seconds."""
        self.rounds.append(record)
        self.energy += energy
        self.heads += heads
        if time.monotonic() > self._flush_due_s:
            self.flush()
        tell_watcher(record)

    def checkpoint(self, parameters: Parameters, **about: Any) -> None:
        """Keep this model as the newest one; written with the next flush."""
        self._model = (parameters, about)

    def position(self) -> dict[str, Any]:
        """Return how long the tables are, and those rows that are not on the disk yet."""
        return {
            "written": list(self._written),
            "rounds": [record.as_row() for record in self.rounds[self._written[0] :]],
            "energy": list(self._energy_table.unwritten(self.energy)),
            "heads": list(self._heads_table.unwritten(self.heads)),
        }

    def go_back_to(self, position: dict[str, Any]) -> None:
        """Make the tables what they were when :meth:`position` was asked.

        Raises:
            RunError: Rows are missing that were on the disk then.
        """
        rounds, energy, heads = position["written"]
        if len(self.rounds) < rounds or len(self.energy) < energy or len(self.heads) < heads:
            raise RunError(
                f"{self.path} cannot be resumed: its tables are shorter than its checkpoint says; "
                "was one of them replaced by an older copy?"
            )
        self.rounds[rounds:] = [RoundRecord.of_row(row) for row in position["rounds"]]
        self.energy[energy:] = _rows_in(position["energy"], records_in, from_text)
        self.heads[heads:] = _rows_in(position["heads"], _heads_in, _head_of)
        self._energy_table.clear()
        self._heads_table.clear()

    def flush(self) -> None:
        """Write the tables and the newest model."""
        began = time.monotonic()
        write_rows(self.path / "rounds.parquet", RoundRecord, [one.as_row() for one in self.rounds])
        self._heads_table.write(self.path / "heads.parquet", self.heads)
        self._energy_table.write(self.path / "energy.parquet", self.energy)
        # Rows that are known to be on the disk need not be in a checkpoint.
        self._written = len(self.rounds), len(self.energy), len(self.heads)
        if self._model is not None:
            parameters, about = self._model
            write_atomically(self.path / MODEL, lambda file: _save(file, parameters), True)
            self.write_json(MODEL_ABOUT, about)
            self._model = None
        later, self._later = self._later, {}
        for name, make in later.items():
            self.write_json(name, make())
        now = time.monotonic()
        self._flush_due_s = now + max(_FLUSH_EVERY_S, _FLUSH_SHARE * (now - began))

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is a model on disk."""
        return os.path.lexists(self.path / MODEL)

    def load_checkpoint(self) -> Parameters:
        """Return the newest model.

        Raises:
            RunError: There is none, or it cannot be read.
        """
        path = self.path / MODEL
        if not self.has_checkpoint:
            raise RunError(f"{self.path} has no model: no round of it was finished")
        with reading(path, "go on from another run, or resume this one if it is not finished"):
            parameters: Parameters = read_arrays(path)
            for name, tensor in parameters.items():
                if tensor.dtype != np.float32 or not np.isfinite(tensor).all():
                    raise ValueError(f"{name!r:.40} is not an array of finite float32 numbers")
        return parameters

    def _check_may_lack(self, path: Path) -> None:
        if self.status()[0] == "finished":
            raise RunError(f"{path} is missing, and the run is finished; put a copy in its place")

    def _table_of(self, name: str, record: Callable[[dict[str, Any]], _Record]) -> list[_Record]:
        path = self.path / name
        if not os.path.lexists(path):
            self._check_may_lack(path)
            return []
        with reading(path):
            return [record(row) for row in read_rows(path)]


def _rows_in(
    part: Sequence[Any],
    in_table: Callable[[bytes], list[_Record]],
    in_text: Callable[[Any], _Record],
) -> list[_Record]:
    """Return the rows that a checkpoint holds (:class:`~frugalfl_server.run.tables.Unwritten`).

    In older checkpoints they are a list of what ``in_text`` takes.
    """
    if len(part) != 2 or not isinstance(part[0], list):
        return list(map(in_text, part))
    rows = [row for table in part[0] for row in in_table(table)]
    return rows + [in_text(line) for line in part[1].decode().split("\n") if line]


def _heads_in(table: bytes) -> list[HeadRecord]:
    return list(map(HeadRecord.of_row, rows_in(table)))


def _head_of(row: str | dict[str, Any]) -> HeadRecord:
    return HeadRecord.of_row(json.loads(row) if isinstance(row, str) else row)


def _check_about(about: dict[str, Any]) -> None:
    """See that ``run.json`` says what is read from it.

    Raises:
        ValueError: It does not.
    """
    kinds = {"task": str, "app": str | None, "settings": dict, "versions": dict}
    for name, kind in kinds.items():
        if not isinstance(about.get(name), kind):
            raise ValueError(f"its {name} is {about.get(name)!r:.40}")
    chosen = about.get("chosen", {})  # runs of earlier versions have none
    if not isinstance(chosen, dict) or not all(isinstance(one, str) for one in chosen.values()):
        raise ValueError(f"its chosen is {chosen!r:.40}")


def _save(file: BinaryIO, parameters: Parameters) -> None:
    np.savez(file, **parameters)  # type: ignore[arg-type]


def _new_folder(root: Path, name: str) -> Path:
    """Make a folder of that name, with a number behind it where the second has one already."""
    make_private_folder(root)
    for number in range(1, 1000):
        path = root / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            continue
        return path.resolve()
    raise FileExistsError(f"{root / name} and 998 more exist")


def _point(link: Path, target: str) -> None:
    part = link.with_name(f".latest-{os.getpid()}")
    part.unlink(missing_ok=True)
    part.symlink_to(target, target_is_directory=True)
    os.replace(part, link)
