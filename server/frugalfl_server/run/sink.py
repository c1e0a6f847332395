"""Where a federation's rows, records and models go: into the run, or only its rows.

A yardstick, such as the slim model, runs the same rounds into the same run. Its rows stand beside
ours; its clients' energy, its checkpoints and who was in quarantine would be taken for ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from frugalfl.blocks import Parameters
from frugalfl.energy import EnergyRecord
from frugalfl_server.run.checkpoint import FILE, Tree, write_checkpoint
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.records import HeadRecord, RoundRecord
from frugalfl_server.run.summary import OURS


class TakesJson(Protocol):
    """A run, or what stands for one, that takes a JSON file."""

    def write_json(self, name: str, value: Any) -> None:
        """Take a file of the run."""

    def write_json_later(self, name: str, make: Callable[[], dict[str, Any]]) -> None:
        """Take a file that goes with the tables, made when these are written."""


class Sink(TakesJson, Protocol):
    """Takes what a federation produces.

    Attributes:
        name: The federation's, in the tables.
    """

    name: str

    def add_round(
        self, record: RoundRecord, energy: Iterable[EnergyRecord], heads: Iterable[HeadRecord]
    ) -> None:
        """Take a row, the clients' energy records, and where their ledgers ended."""

    def add_energy(self, records: Iterable[EnergyRecord]) -> None:
        """Take records that belong to no new row."""

    def add_heads(self, heads: Iterable[HeadRecord]) -> None:
        """Take where ledgers ended, that belong to no new row."""

    def write_model(self, model: Parameters, phase: str, number: int) -> None:
        """Take the newest model."""

    def write_checkpoint(self, tree: Tree) -> None:
        """Take all that the next round depends on.

        Raises:
            TypeError: A checkpoint cannot hold it.
        """


class RunSink:
    """Writes everything into the run's directory."""

    name = OURS

    def __init__(self, run: RunDirectory) -> None:
        self._run = run

    def add_round(
        self, record: RoundRecord, energy: Iterable[EnergyRecord], heads: Iterable[HeadRecord]
    ) -> None:
        """Write a row, and what belongs to it."""
        self._run.add_round(record, list(energy), list(heads))

    def add_energy(self, records: Iterable[EnergyRecord]) -> None:
        """Write energy records."""
        self._run.add_energy(list(records))

    def add_heads(self, heads: Iterable[HeadRecord]) -> None:
        """Write where ledgers ended."""
        self._run.heads += heads

    def write_json(self, name: str, value: Any) -> None:
        """Write a file."""
        self._run.write_json(name, value)

    def write_json_later(self, name: str, make: Callable[[], dict[str, Any]]) -> None:
        """Write a file with the tables."""
        self._run.write_json_later(name, make)

    def write_model(self, model: Parameters, phase: str, number: int) -> None:
        """Write the newest model."""
        self._run.checkpoint(model, phase=phase, round=number)

    def write_checkpoint(self, tree: Tree) -> None:
        """Write the checkpoint, with where the tables stand."""
        write_checkpoint(
            self._run.path / FILE, {"run": self._run.name, **tree, "tables": self._run.position()}
        )


class RowsOnly:
    """Writes a yardstick's rows, and nothing else."""

    def __init__(self, run: RunDirectory, name: str) -> None:
        self._run = run
        self.name = name

    def add_round(
        self, record: RoundRecord, energy: Iterable[EnergyRecord], heads: Iterable[HeadRecord]
    ) -> None:
        """Write a row."""
        self._run.add_round(record)

    def add_energy(self, records: Iterable[EnergyRecord]) -> None:
        """Leave them."""

    def add_heads(self, heads: Iterable[HeadRecord]) -> None:
        """Leave them."""

    def write_json(self, name: str, value: Any) -> None:
        """Leave it."""

    def write_json_later(self, name: str, make: Callable[[], dict[str, Any]]) -> None:
        """Leave it."""

    def write_model(self, model: Parameters, phase: str, number: int) -> None:
        """Leave it."""

    def write_checkpoint(self, tree: Tree) -> None:
        """Leave it."""
