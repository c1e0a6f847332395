"""Verifies ledgers: each by its own chain, and against what the server was told while it ran."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from frugalfl.energy.ledger import Ledger, Verdict
from frugalfl.energy.parquet import read_records, read_rows
from frugalfl.energy.record import EnergyRecord
from frugalfl.energy.text import to_text
from frugalfl.errors import RunError


@dataclass
class Findings:
    """What was verified, and what is wrong.

    Attributes:
        ledgers: Ledgers that were read.
        records: Records in them.
        sealed: Records that rotation had dropped from them.
        compared: Heads and rows of a run that they were compared with.
        faults: One line a fault, with the file's name.
    """

    ledgers: int = 0
    records: int = 0
    sealed: int = 0
    compared: int = 0
    faults: list[str] = field(default_factory=list)


def verify_ledger(path: Path, run: Path | None) -> Findings:
    """Verify one ledger, and against a run where one is named.

    Raises:
        RunError: The ledger or the run cannot be read.
    """
    findings = Findings()
    _verify(path, path.name, findings, *_told(run))
    return findings


def verify_run(run: Path) -> Findings:
    """Verify all ledgers in a run directory against the run's own tables.

    Raises:
        RunError: The run cannot be read, or has no ledgers in it.
    """
    paths = sorted(run.glob("devices/client-*/ledger.sqlite"))
    if not paths:
        raise RunError(
            f"{run} has no ledgers in it: they are on the devices; copy one here, and "
            f"frugalfl energy verify LEDGER --against {run}"
        )
    heads, rows = _told(run)
    findings = Findings()
    for path in paths:
        _verify(path, str(path.relative_to(run)), findings, heads, rows)
    return findings


def _told(run: Path | None) -> tuple[list[dict[str, Any]], list[EnergyRecord]]:
    if run is None:
        return [], []
    if not (run / "run.json").is_file():
        raise RunError(f"{run} is not a run directory (it has no run.json); see `ls runs`")
    heads, rows = run / "heads.parquet", run / "energy.parquet"
    return (
        read_rows(heads) if heads.is_file() else [],
        read_records(rows) if rows.is_file() else [],
    )


def _verify(
    path: Path,
    name: str,
    findings: Findings,
    heads: Iterable[Mapping[str, Any]],
    rows: Iterable[EnergyRecord],
) -> None:
    if not path.is_file():
        raise RunError(f"there is no ledger at {path}")
    with Ledger(path) as ledger:
        clients = ledger.clients()
        seen = {h["number"]: bytes.fromhex(h["hash"]) for h in heads if h["client"] in clients}
        verdict = ledger.verify(seen)
        findings.ledgers += 1
        findings.records += verdict.records
        findings.sealed += verdict.sealed
        findings.compared += len(seen)
        fault = verdict.fault
        if not fault:
            mine = [row for row in rows if row.client in clients]
            findings.compared += len(mine)
            fault = _missing(ledger, verdict, mine)
    if fault:
        findings.faults.append(f"{name}: {fault}")


def _missing(ledger: Ledger, verdict: Verdict, rows: list[EnergyRecord]) -> str:
    """Name the first of the run's rows that the ledger does not hold as it stands there."""
    records = ledger.records()
    held = set(map(to_text, records))
    oldest = min((record.start_unix_s for record in records), default=0.0)
    for row in rows:
        kept = not verdict.sealed or row.start_unix_s >= oldest
        if kept and to_text(row) not in held:
            return (
                f"the run's energy.parquet has a record of client {row.client}, round {row.round}, "
                f"{row.phase} that the device's ledger has not: one of them was changed"
            )
    return ""
