"""Verifies ledgers: each by its own chain, and against what the server was told while it ran."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from frugalfl.energy.hash_chain import Head
from frugalfl.energy.ledger import Ledger, LedgerCheck
from frugalfl.energy.many_ledgers import FILE, LedgerOfMany, ManyLedgers
from frugalfl.energy.parquet import read_records, read_rows
from frugalfl.energy.record import EnergyRecord
from frugalfl.energy.record_json import parse, to_text
from frugalfl.errors import RunError

#: What a run keeps of who is who (written by ``frugalfl_server.cohort.identity``).
IDENTITIES = "identities.json"
_AnyLedger = Ledger | LedgerOfMany


@dataclass
class Findings:
    """What was verified, and what is wrong.

    Attributes:
        ledgers: Ledgers that were read.
        records: Records in them.
        sealed: Records that rotation had dropped from them.
        compared: Heads and rows of a run that they were compared with.
        faults: One line a fault, with the file's name.
        notes: One line about what a run says in a device's name and its ledger never told.
    """

    ledgers: int = 0
    records: int = 0
    sealed: int = 0
    compared: int = 0
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Told:
    """What a run was told: heads, records, and the marks of ledgers whose devices it refused."""

    heads: list[dict[str, Any]] = field(default_factory=list)
    rows: list[EnergyRecord] = field(default_factory=list)
    refused: frozenset[str] = frozenset()


def verify_ledger(path: Path, run: Path | None) -> Findings:
    """Verify one ledger, and against a run if one is named.

    Raises:
        RunError: The ledger or the run cannot be read.
    """
    findings, told = Findings(), _heads_told(run)
    if path.name == FILE:
        _verify_many(path, path.name, findings, told)
    else:
        _verify_file(path, path.name, findings, told)
    return findings


def verify_run(run: Path) -> Findings:
    """Verify all ledgers in a run directory against the run's own tables.

    Raises:
        RunError: The run cannot be read, or has no ledgers in it.
    """
    paths = sorted(run.glob("devices/client-*/ledger.sqlite"))
    many = run / "devices" / FILE
    if not paths and not many.is_file():
        raise RunError(
            f"{run} has no ledgers in it: they are on the devices; copy one here, and "
            f"frugalfl energy verify LEDGER --against {run}"
        )
    told = _heads_told(run)
    findings = Findings()
    for path in paths:
        _verify_file(path, str(path.relative_to(run)), findings, told)
    if many.is_file():
        _verify_many(many, str(many.relative_to(run)), findings, told)
    return findings


def _verify_file(path: Path, name: str, findings: Findings, told: _Told) -> None:
    if not path.is_file():
        raise RunError(f"there is no ledger at {path}")
    with Ledger(path) as ledger:
        _verify(ledger, name, findings, told)


def _verify_many(path: Path, name: str, findings: Findings, told: _Told) -> None:
    """Verify the ledgers of simulated devices, which are in one file."""
    if not path.is_file():
        raise RunError(f"there are no ledgers at {path}")
    heads, rows = defaultdict[str, Any](list), defaultdict[str, Any](list)
    for head in told.heads:
        heads[head["client"]].append(head)
    for row in told.rows:
        rows[row.client].append(row)
    many = ManyLedgers(path)
    for client in many.clients():
        own = _Told(heads[str(client)], rows[str(client)], told.refused)
        _verify(many.of(client), f"{name}, client {client}", findings, own)
    many.close()


def _heads_told(run: Path | None) -> _Told:
    if run is None:
        return _Told()
    if not (run / "run.json").is_file():
        raise RunError(f"{run} is not a run directory (it has no run.json); see `frugalfl runs`")
    heads, rows = run / "heads.parquet", run / "energy.parquet"
    return _Told(
        read_rows(heads) if heads.is_file() else [],
        read_records(rows) if rows.is_file() else [],
        _marks_refused(run / IDENTITIES),
    )


def _marks_refused(path: Path) -> frozenset[str]:
    """Return the marks of the ledgers that a run took no word of; what cannot be read, none."""
    try:
        listed = parse(path.read_bytes())["refused"]
        return frozenset(str(one["ledger"]) for one in listed)
    except (OSError, ValueError, TypeError, KeyError):
        return frozenset()


def _verify(ledger: _AnyLedger, name: str, findings: Findings, told: _Told) -> None:
    clients = ledger.clients()
    heads = [head for head in told.heads if head["client"] in clients]
    own = [head for head in heads if _is_own(ledger, head)]
    seen = {head["number"]: bytes.fromhex(head["hash"]) for head in own}
    check = ledger.verify(seen)
    findings.ledgers += 1
    findings.records += check.records
    findings.sealed += check.sealed
    findings.compared += len(seen)
    fault = check.fault
    if not fault and len(own) < len(heads):
        others = [head for head in heads if head not in own]
        note = f"{len(others)} of {len(heads)} heads of the run for {_whose(others[0])}"
        if own or ledger.mark.hex() in told.refused:
            findings.notes.append(
                f"{name}: {note} were not told by this ledger: they say nothing about it"
            )
        else:
            fault = (
                f"{note} were told by another ledger, none by this one: another device took "
                "part as this client, or this ledger was begun anew; no record of it was "
                "compared"
            )
    if not fault:
        rows = [row for row in told.rows if row.client in clients and _is_of(row, heads, own)]
        findings.compared += len(rows)
        fault = _missing(ledger, check, rows)
    if fault:
        findings.faults.append(f"{name}: {fault}")


def _is_own(ledger: _AnyLedger, row: Mapping[str, Any]) -> bool:
    """Say whether a row of the run's heads was told by this ledger; older runs have no proofs."""
    try:
        mark, proof = (bytes.fromhex(row.get(name) or "") for name in ("ledger", "proof"))
        return ledger.has_told(Head(row["number"], bytes.fromhex(row["hash"]), mark, proof))
    except (ValueError, TypeError, KeyError, OverflowError):
        return False  # nobody's


def _whose(head: Mapping[str, Any]) -> str:
    node = head.get("node")
    return f"client {head['client']} (round {head['round']}" + (f", node {node})" if node else ")")


def _is_of(
    row: EnergyRecord, heads: Iterable[Mapping[str, Any]], own: Sequence[Mapping[str, Any]]
) -> bool:
    """Say whether a row of the run can be held against a ledger: another's is not its own."""
    came_with = [h for h in heads if (h["client"], h["round"]) == (row.client, row.round)]
    return not came_with or any(head in own for head in came_with)


def _missing(ledger: _AnyLedger, check: LedgerCheck, rows: list[EnergyRecord]) -> str:
    """Name the first of the run's rows that the ledger does not hold as it stands there."""
    records = ledger.records()
    held = set(map(to_text, records))
    oldest = min((record.start_unix_s for record in records), default=0.0)
    for row in rows:
        kept = not check.sealed or row.start_unix_s >= oldest
        if kept and to_text(row) not in held:
            return (
                f"the run's energy.parquet has a record of client {row.client}, round {row.round}, "
                f"{row.phase} that the device's ledger has not: one of them was changed"
            )
    return ""
