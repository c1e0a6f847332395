"""``frugalfl.open_run``: a run to look into from a notebook or a script.

Tables are Arrow tables: ``.to_pandas()`` makes data frames of them if pandas is installed. What is
not known is null, never 0.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frugalfl.errors import RunError

if TYPE_CHECKING:
    import pyarrow as pa

    from frugalfl_server.run.directory import RunDirectory

_MODELS = {
    "int8": "model_int8.tflite", "edge": "model_int8_edge.tflite", "float": "model_float.tflite",
}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """A run that is there, finished or not; what it shows is read anew each time.

    Attributes:
        path: Its directory.
    """

    path: Path

    @property
    def summary(self) -> dict[str, Any]:
        """The figures of ``summary.json``, under its names (docs/run-directory.md).

        Raises:
            RunError: A file of the run is damaged.
        """
        from frugalfl_server.run.summary import of_run

        run = self._read()
        return of_run(run, *run.status())

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that it was made with, under their names in an app's config.

        Raises:
            RunError: ``run.json`` is damaged.
        """
        settings: dict[str, Any] = self._read().read_json("run.json")["settings"]
        return settings

    @property
    def rounds(self) -> pa.Table:
        """One row a round and federation, in their order: the columns of ``rounds.parquet``.

        Raises:
            RunError: The table is damaged.
        """
        from frugalfl_server.run.records import RoundRecord
        from frugalfl_server.run.tables import table_of

        rounds = self._read().rounds
        table = self._table("rounds.parquet", len(rounds))
        return table or table_of(RoundRecord, [one.as_row() for one in rounds])

    @property
    def energy(self) -> pa.Table:
        """One row a client (or the server), round and phase: ``energy.parquet``.

        Raises:
            RunError: The table is damaged.
        """
        from frugalfl.energy.parquet import table_of

        records = self._read().energy
        return self._table("energy.parquet", len(records)) or table_of(records)

    @property
    def clients(self) -> pa.Table:
        """One row a client: rounds that it took part in, bytes (B), joules (J) by kind.

        Clients whose updates were refused are there, too, as ``node N`` if nobody knows which one
        it was.

        Raises:
            RunError: A table is damaged.
        """
        from frugalfl_server.run.client_table import clients_of

        return clients_of(self._read())

    @property
    def report(self) -> Path:
        """The page ``report.html``; it is there once the run has ended.

        Raises:
            RunError: There is none: `frugalfl report` writes it.
        """
        return self._there("report.html", f"frugalfl report {self.path}")

    def model(self, kind: str = "int8") -> Path:
        """Return an exported model.

        Args:
            kind: ``int8`` for microcontrollers, ``edge`` for phones and Pis (int8, with names),
                ``float``.

        Raises:
            RunError: Nothing was exported.
            ValueError: Another kind.
        """
        if kind not in _MODELS:
            raise ValueError(f"no kind of model {kind!r}; it is one of {', '.join(_MODELS)}")
        return self._there(f"model/{_MODELS[kind]}", f"frugalfl export {self.path}")

    def _read(self) -> RunDirectory:
        from frugalfl_server.run.newest import open_newest

        return open_newest(self.path)

    def _table(self, name: str, rows: int) -> pa.Table | None:
        """Return a table whose rows were read before; ``None``: it lacks some of these."""
        import pyarrow.parquet as pq

        if rows and not (self.path / name).is_file():
            return None
        table = pq.read_table(self._there(name, "finish a round first"))
        return table if len(table) >= rows else None

    def _there(self, name: str, how: str) -> Path:
        if not (self.path / name).is_file():
            raise RunError(f"{self.path} has no {name}: {how}")
        return self.path / name


def open_run(path: str | os.PathLike[str]) -> Run:
    """Open a run.

    Args:
        path: Its directory, such as ``runs/latest``, which is resolved: the run stays the same.

    Raises:
        RunError: It is none, or a file in it is damaged.
    """
    run = Run(Path(path).resolve())
    run._read()
    return run
