"""``frugalfl energy``: joules to look at, to hand to other tools, and to verify."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import click
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from frugalfl.energy import formats, parquet
from frugalfl.energy.ledger import Ledger
from frugalfl.energy.many_ledgers import FILE, ManyLedgers
from frugalfl.energy.reading import Reading
from frugalfl.energy.record import SERVER, EnergyRecord
from frugalfl.energy.record_sums import Totals, spent
from frugalfl.energy.verify_ledgers import Findings, verify_ledger, verify_run
from frugalfl.errors import RunError, UsageError
from frugalfl.foreign import read_json
from frugalfl.help import epilog
from frugalfl.text import MOST_OF_A_LINE, printable

#: Folder that runs go into, unless another one is named.
RUNS = Path("runs")
_EPILOG = """
Examples:

- frugalfl energy runs/latest

- frugalfl energy runs/latest --by client --format csv --out joules.csv

- frugalfl energy devices/client-3/ledger.sqlite --grid ES

- frugalfl energy verify runs/latest
"""


class _ShowUnlessNamed(TyperGroup):
    """A group whose first verb, ``show``, need not be typed: ``frugalfl energy runs/latest``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``show`` in front of anything but a verb or a call for help."""
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["show", *args]
        return super().parse_args(ctx, args)


class By(StrEnum):
    """What to add up by."""

    phase = "phase"
    client = "client"
    round = "round"


class Format(StrEnum):
    """How to write figures."""

    table = "table"
    json = "json"
    csv = "csv"
    parquet = "parquet"
    prometheus = "prometheus"


command = typer.Typer(
    cls=_ShowUnlessNamed,
    rich_markup_mode="markdown",
    add_completion=False,
    no_args_is_help=True,
    epilog=epilog(_EPILOG),
    help="Show, export and verify the joules of a run, or of one device's own ledger.",
)


@command.command(epilog=epilog(_EPILOG))
def show(
    source: Annotated[Path, typer.Argument(help="A run directory, or one device's ledger.sqlite.")],
    by: Annotated[By | None, typer.Option(help="Add up by this; else every record.")] = None,
    format_: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.table,
    out: Annotated[Path | None, typer.Option(help="A file to write; else the screen.")] = None,
    grid: Annotated[
        str | None,
        typer.Option(
            help="Other electricity for the grams: ES, world, 120 g/kWh; with CodeCarbon "
            "installed also codecarbon:us/texas or codecarbon:gcp/europe-west1."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As --format json.")] = False,
) -> None:
    """Show or export joules, grams of CO2e, and joules per correct prediction.

    Joules that no meter measured are called estimated; the two are never added up together. The
    word **show** may be left out.
    """
    records = read_records(source)
    if grid is not None:
        from frugalfl.energy.codecarbon import any_grid

        other = any_grid(grid)
        records = [replace(record, grid=other) for record in records]
    chosen = Format.json if as_json else format_
    if chosen is Format.parquet:
        if out is None or by is not None:
            raise UsageError("--format parquet needs --out FILE, and takes no --by")
        parquet.write_records(out, records)
        return
    if chosen is Format.table:
        if out is not None:
            raise UsageError("--out goes with --format json, csv, parquet or prometheus")
        _print_tables(records, [by] if by else [By.phase, By.client], _control_lines(source))
        return
    text = _text(records, chosen, None if by is None else by.value)
    if out is None:
        typer.echo(text.rstrip("\n"))
    else:
        out.write_text(text, encoding="utf-8")


@command.command(epilog="Example: frugalfl energy verify runs/latest")
def verify(
    source: Annotated[Path, typer.Argument(help="A run directory, or one device's ledger.sqlite.")],
    against: Annotated[
        Path | None, typer.Option(help="With a ledger: the run that its device took part in.")
    ] = None,
) -> None:
    """Check that no energy record was edited, removed, inserted or reordered.

    Each record is hashed with the one before it; a run also remembers where each ledger ended
    after every round, so that a ledger that was cut off or written anew shows.
    """
    found = verify_run(source) if source.is_dir() else verify_ledger(source, against)
    for line in [*found.notes, *found.faults]:
        typer.echo(printable(line, MOST_OF_A_LINE))
    if found.faults:
        raise RunError(f"{len(found.faults)} of {found.ledgers} ledgers do not verify: see above")
    typer.echo(_verify(found))


def _verify(found: Findings) -> str:
    ledgers = "1 ledger" if found.ledgers == 1 else f"{found.ledgers} ledgers"
    text = f"{ledgers}, {found.records:,} records: every chain is unbroken"
    if found.sealed:
        text += f"; {found.sealed:,} older records were rotated out and sealed"
    if not found.compared:
        return f"{text}; --against RUN would also show one that was cut off or written anew"
    return f"{text}, and agrees with what the server was told"


def read_records(source: Path) -> list[EnergyRecord]:
    """Read the records of a run directory or of a ledger file.

    Raises:
        RunError: There is neither, or nothing in it.
        MissingExtraError: A run's Parquet table needs pyarrow, which is not installed.
    """
    if source.is_dir():
        table = source / "energy.parquet"
        if not table.is_file():
            raise RunError(f"{source} has no energy.parquet; is it a run directory?")
        records = parquet.read_records(table)
    elif source.is_file() and source.name == FILE:
        many = ManyLedgers(source)
        records = [one for client in many.clients() for one in many.of(client).records()]
        many.close()
    elif source.is_file():
        with Ledger(source) as ledger:
            records = ledger.records()
    else:
        raise RunError(
            f"there is no run directory or ledger at {str(source)!r}; {_where_to_look(source)}"
        )
    if not records:
        raise RunError(f"{source} holds no energy records yet")
    return records


def _where_to_look(source: Path) -> str:
    """Return what to type instead."""
    if source.parent != RUNS and (RUNS / source / "run.json").exists():
        return f"did you mean `frugalfl energy {RUNS / source}`?"
    if not RUNS.is_dir():
        return f"there is no folder {str(RUNS)!r} here either: `frugalfl simulate APP` makes a run"
    return "`frugalfl runs` lists the runs here"


def _text(records: list[EnergyRecord], chosen: Format, by: str | None) -> str:
    if chosen is Format.json:
        return formats.to_json(records, by)
    if chosen is Format.csv:
        return formats.to_csv(records, by)
    if by is not None:
        raise UsageError("--format prometheus is by client and phase already: leave --by out")
    return formats.to_prometheus(records)


def _control_lines(source: Path) -> list[str]:
    """Return what energy limits did to a run that has ended."""
    path = source / "summary.json"
    if not path.exists():
        return []
    try:
        summary = read_json(path)
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {path}: {error}; put a sound copy in its place") from error
    lines = []
    if isinstance(skipped := summary.get("skipped"), int) and skipped:
        lines.append(f"skipped: {skipped:,} times a client could not be asked in a round")
    if stopped := summary.get("stopped"):
        lines.append(f"stopped: {stopped}")
    return lines


def _print_tables(records: list[EnergyRecord], groups: list[By], about: list[str]) -> None:
    console = Console(highlight=False)
    for by in groups:
        console.print(_table(by.value, formats.group_records(records, by.value)))
    server = [record for record in records if record.client == SERVER]
    clients = [record for record in records if record.client != SERVER]
    both = {"clients": clients, "server": server}
    lines = [f"{whose}: {_sums(spent(mine))}" for whose, mine in both.items() if mine]
    lines += about
    lines += dict.fromkeys(_how(reading) for record in records for reading in record.readings)
    lines += dict.fromkeys(f"grams: {record.grid}" for record in records if record.grid)
    for line in lines:
        console.print(printable(line, MOST_OF_A_LINE), soft_wrap=True, markup=False)


def _table(title: str, groups: dict[str, Totals]) -> Table:
    columns = {
        "CPU s": [total.cpu_s for total in groups.values()],
        "measured J": [total.measured_j for total in groups.values()],
        "estimated J": [total.estimated_j for total in groups.values()],
        "idle J": [total.idle_j for total in groups.values()],
        "measured mg CO2e": [_milli(total.measured_g) for total in groups.values()],
        "estimated mg CO2e": [_milli(total.estimated_g) for total in groups.values()],
        "measured mJ/correct": [_milli(t.measured_j_per_correct) for t in groups.values()],
        "estimated mJ/correct": [_milli(t.estimated_j_per_correct) for t in groups.values()],
    }
    always = ("measured J", "estimated J")
    shown = [name for name, column in columns.items() if name in always or any(column)]
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(title, no_wrap=True)
    for name in ("n", *shown):
        table.add_column(name, justify="right")
    for place, (name, total) in enumerate(groups.items()):
        table.add_row(
            Text(printable(name)), str(total.records), *(_cell(columns[c][place]) for c in shown)
        )
    return table


def _milli(value: float | None) -> float | None:
    return None if value is None else value * 1000


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _sums(total: Totals) -> str:
    """Return joules, watt-hours and grams of both kinds, each with its word."""
    parts = []
    for word, joules, grams in (
        ("measured", total.measured_j, total.measured_g),
        ("estimated", total.estimated_j, total.estimated_g),
    ):
        if joules is not None:
            carbon = "" if grams is None else f", {grams:.3g} gCO2e"
            parts.append(f"{joules:.4g} J {word} ({joules / 3600:.3g} Wh{carbon})")
    text = " + ".join(parts) or "joules unknown"
    return text + (f"; {total.unknown:,} records without joules" if total.unknown else "")


def _how(reading: Reading) -> str:
    how = "measured" if reading.measured else "estimated"
    spread = "" if reading.uncertainty_rel is None else f", ±{reading.uncertainty_rel:.0%}"
    return f"{reading.component} {how} by {reading.method} ({reading.source}{spread})"
