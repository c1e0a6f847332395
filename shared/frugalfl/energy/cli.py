"""``frugalfl energy``: what the clients used, by phase and by client."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from frugalfl.energy.ledger import Ledger
from frugalfl.energy.record import EnergyRecord, totals
from frugalfl.errors import MissingExtraError, RunError

command = typer.Typer(add_completion=False)


@command.command(epilog="Example: frugalfl energy runs/latest")
def energy(
    source: Annotated[Path, typer.Argument(help="A run directory, or one device's ledger.sqlite.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print every record as JSON.")] = False,
) -> None:
    """Show the energy records of a run, or of one device's own ledger.

    Joules that no meter measured are called estimated; the two are never added up together.
    """
    records = read_records(source)
    if as_json:
        typer.echo(json.dumps([asdict(record) for record in records], indent=2))
        return
    console = Console(highlight=False)
    console.print(_table("phase", records, lambda record: record.phase))
    console.print(_table("client", records, lambda record: record.client))
    for method in sorted({_method(record) for record in records}):
        console.print(method, soft_wrap=True, markup=False)


def read_records(source: Path) -> list[EnergyRecord]:
    """Read the records of a run directory or of a ledger file.

    Raises:
        RunError: There is neither, or nothing in it.
        MissingExtraError: A run's Parquet table needs pyarrow, which is not installed.
    """
    if source.is_dir():
        records = _of_run(source / "energy.parquet")
    elif source.is_file():
        with Ledger(source) as ledger:
            records = ledger.records()
    else:
        raise RunError(f"there is no run directory or ledger at {source}; see `ls runs`")
    if not records:
        raise RunError(f"{source} holds no energy records yet")
    return records


def _of_run(table: Path) -> list[EnergyRecord]:
    if not table.is_file():
        raise RunError(f"{table.parent} has no energy.parquet; is it a run directory?")
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading a run's Parquet tables", "server") from error
    try:
        return [EnergyRecord(**row) for row in pyarrow.parquet.read_table(table).to_pylist()]
    except (pyarrow.ArrowException, TypeError) as error:
        raise RunError(f"cannot read {table}: {error}") from error


def _table(
    title: str, records: Iterable[EnergyRecord], key: Callable[[EnergyRecord], str]
) -> Table:
    groups: dict[str, list[EnergyRecord]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    table = Table(title, *("records", "CPU s", "measured J", "estimated J", "unknown"))
    for name, group in sorted(groups.items(), key=lambda item: (len(item[0]), item[0])):
        total = totals(group)
        cells = (total.measured_j, total.estimated_j)
        joules = ["-" if value is None else f"{value:.3f}" for value in cells]
        cpu = sum(record.cpu_s for record in group)
        table.add_row(name, str(len(group)), f"{cpu:.3f}", *joules, str(total.unknown))
    return table


def _method(record: EnergyRecord) -> str:
    how = "measured" if record.measured else "estimated"
    spread = "" if record.uncertainty_rel is None else f", ±{record.uncertainty_rel:.0%}"
    return f"{how} by {record.method} ({record.source}{spread})"
