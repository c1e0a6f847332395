"""What is known of each client over the whole run."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from frugalfl.energy import EnergyRecord
from frugalfl.energy.record import known_sum
from frugalfl.energy.verify_ledgers import IDENTITIES
from frugalfl_server.report.run_facts import Facts
from frugalfl_server.report.sheet import Sheet
from frugalfl_server.run.client_table import unrecorded
from frugalfl_server.run.directory import RunDirectory


@dataclass(frozen=True)
class ClientRow:
    """One client; None: not known.

    Attributes:
        client: Its number, as text.
        rows: Rows that it last trained on.
        rounds: Rounds that it trained in.
        last: The last one of these.
        up: Bytes that it sent.
        down: Bytes that were sent to it.
        measured_j: Joules above idle from meters.
        estimated_j: Joules above idle from models.
        right: Share of its own rows that the last model that it measured got right.
        scored: Rows that this was measured on.
        set_aside: How often it was set aside for wrong answers.
        refused: Claims of its node to be another client, which were refused.
    """

    client: str
    rows: int | None
    rounds: int
    last: int | None
    up: int | None
    down: int | None
    measured_j: float | None
    estimated_j: float | None
    right: float | None
    scored: int | None
    set_aside: int | None
    refused: int | None


def client_rows(facts: Facts) -> list[ClientRow]:
    """Return every client that told of its work, or sent something that did not count."""
    groups: dict[str, list[EnergyRecord]] = defaultdict(list)
    for record in facts.client_records:
        groups[record.client].append(record)
    beside: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for one in unrecorded(facts.run):
        beside[one["client"]].append(one)
    nodes, refused = _identities(facts.run)
    aside = Counter(str(one["node"]) for one in facts.summary["set_aside"])
    rows = []
    for client in sorted({*groups, *beside}, key=_by_number):
        node = nodes.get(client)
        if node is None:  # nobody's, if there are none; else it is not known whose they are
            counts = None if aside else 0, None if refused else 0
        else:
            counts = aside[node], refused.get(node, 0)
        rows.append(_row(client, groups[client], beside[client], *counts))
    return rows


def _row(
    client: str, records: Sequence[EnergyRecord], beside: Sequence[Mapping[str, Any]],
    aside: int | None, refused: int | None,
) -> ClientRow:  # fmt: skip
    trained = [record for record in records if record.phase == "train"]
    scored = [record for record in records if record.phase == "evaluate" and record.samples]
    last = max(scored, key=lambda one: (one.round, one.start_unix_s), default=None)
    right = None if last is None or last.correct is None else last.correct / last.samples
    return ClientRow(
        client=client,
        rows=max(trained, key=lambda one: one.round).samples if trained else None,
        rounds=len({record.round for record in trained}),
        last=max((record.round for record in trained), default=None),
        up=_bytes(records, "upload", beside, "uplink_bytes"),
        down=_bytes(records, "download", beside, "downlink_bytes"),
        measured_j=known_sum(record.measured_j for record in records),
        estimated_j=known_sum(record.estimated_j for record in records),
        right=right,
        scored=None if last is None or right is None else last.samples,
        set_aside=aside,
        refused=refused,
    )


def client_sheet(rows: Sequence[ClientRow]) -> Sheet:
    """Return them as a table with plain values."""
    header = [
        "client", "rows", "rounds trained", "last round", "uplink (B)", "downlink (B)",
        "measured (J)", "estimated (J)", "right on own rows (share)", "own rows measured on",
        "times set aside", "claims refused",
    ]  # fmt: skip
    return Sheet(
        "clients", header,
        [
            [one.client, one.rows, one.rounds, one.last, one.up, one.down, one.measured_j,
             one.estimated_j, one.right, one.scored, one.set_aside, one.refused]
            for one in rows
        ],
    )  # fmt: skip


def _bytes(
    records: Sequence[EnergyRecord], phase: str, beside: Sequence[Mapping[str, Any]], name: str
) -> int | None:
    """Add up bytes; None if nothing tells of any transfer."""
    told: list[int | None] = [getattr(one, name) for one in records if one.phase == phase]
    known = known_sum([*told, *(one[name] for one in beside)])
    return None if known is None else int(known)


def _by_number(client: str) -> tuple[bool, int, str]:
    return (not client.isdecimal(), int(client) if client.isdecimal() else 0, client)


def _identities(run: RunDirectory) -> tuple[Mapping[str, str], Mapping[str, int]]:
    """Return each client's node, and how many claims of each node were refused."""
    if not os.path.lexists(run.path / IDENTITIES):
        return {}, {}
    known = run.read_json(IDENTITIES)
    nodes = {str(one["client"]): str(one["node"]) for one in known["clients"]}
    refused: dict[str, int] = defaultdict(int)
    for one in known["refused"]:
        refused[str(one["node"])] += 1
    return nodes, dict(refused)
