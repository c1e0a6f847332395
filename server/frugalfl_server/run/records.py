"""What is known of one round, once it is over."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, get_type_hints

from frugalfl.kinds import ACCURACY

#: Columns of ``rounds.parquet`` that hold a metric of the task begin so.
METRIC = "metric_"
#: Where a run keeps what its models are measured by.
MEASURES = "measures.json"
#: Where a run keeps who was in quarantine, and why, and what no energy record tells of.
QUARANTINE = "set_aside.json"


@dataclass(frozen=True)
class RoundRecord:
    """One row of ``rounds.parquet``.

    Attributes:
        federation: ``frugalfl``, or the baseline's name.
        phase: ``train``, or ``recover`` for rounds on the pruned model. One row ``calibrate`` for
            the ranges of int8 changes no model: its accuracy is that of the last round. So
            do rows ``counters`` and ``bins``, round 0, which come before the first one.
        round: From 1; recovery rounds count on.
        accuracy: Share of the server's test rows that the new global model gets right; ``None``:
            not known, or nothing is right or wrong in a task of this kind. With
            private blocks: of the rows that clients hold out, each measured with the model that
            this client has just trained, mean by rows; a round without any repeats the last one.
        loss: Mean training loss over the clients' last local epochs, weighted by rows; ``None``:
            nobody trained, as in a calibration.
        clients: Clients that were asked.
        updates: Updates that were aggregated.
        uplink_bytes: Length of all frames from clients (B).
        downlink_bytes: Length of all frames and training programs to clients (B).
        energy_measured_j: Joules from meters on the clients; ``None``: none was metered.
        energy_estimated_j: Joules from models; ``None``: none was estimated.
        wall_s: Duration of the round on the server (s).
        server_measured_j: Joules from meters on the server; ``None``: none was metered.
        server_estimated_j: Joules from models; ``None``: none was estimated.
        skipped: Clients that were there and could not be asked, because of ``energy-budget`` or
            ``min-battery``.
        program_bytes: Of ``downlink_bytes``, training programs (B).
        late: Of ``updates``, answers to an earlier round, which came too late for that one.
        simulated_s: Duration of the round on the clock of a simulation (s);
            ``None``: there is none.
        set_aside: Clients that were there and were not asked, because they sent garbage.
        uploads: Frames from clients, whether or not they counted; ``None``: older runs do not say.
        metrics: The other measures on the same rows, by name, the task's own first; ``None``: not
            known, as where the test rows are all of one class, and with private blocks. In the
            table each is a column ``metric_<name>``.
    """

    federation: str
    phase: str
    round: int
    accuracy: float | None
    loss: float | None
    clients: int
    updates: int
    uplink_bytes: int
    downlink_bytes: int
    energy_measured_j: float | None
    energy_estimated_j: float | None
    wall_s: float
    server_measured_j: float | None = None
    server_estimated_j: float | None = None
    skipped: int = 0
    program_bytes: int = 0
    late: int = 0
    simulated_s: float | None = None
    set_aside: int = 0
    uploads: int | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict, hash=False)

    def as_row(self) -> dict[str, Any]:
        """Return plain values by column."""
        row = {**vars(self)}  # plain values: asdict would copy each by recursion
        metrics = row.pop("metrics")
        return row | {METRIC + name: value for name, value in metrics.items()}

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> RoundRecord:
        """Return what :meth:`as_row` made the row of; older rows have fewer columns.

        Raises:
            ValueError: A column is unknown, or holds what it cannot.
            TypeError: A column is missing.
        """
        plain = {name: value for name, value in row.items() if not name.startswith(METRIC)}
        metrics = {name.removeprefix(METRIC): row[name] for name in row if name not in plain}
        _check(cls, plain)
        for name, value in metrics.items():
            if value is not None and not isinstance(value, float):
                raise ValueError(f"{METRIC}{name} is {value!r:.40}")
        return cls(**plain, metrics=metrics)


def score_of(record: RoundRecord, name: str) -> float | None:
    """Return one measure of a round, accuracy among them; ``None``: not known."""
    return record.accuracy if name == ACCURACY else record.metrics.get(name)


@dataclass(frozen=True)
class HeadRecord:
    """One row of ``heads.parquet``: where a device's ledger ended when it answered.

    Attributes:
        client: Number of the client, as text.
        round: Round of the answer.
        number: Entries of the ledger so far.
        hash: The newest entry's hash, hexadecimal.
        node: The node that told it, as text; empty in runs from before it was kept.
        ledger: Mark of the ledger, hexadecimal; empty where the client told of none.
        proof: That this ledger told it, hexadecimal; empty likewise.
    """

    client: str
    round: int
    number: int
    hash: str
    node: str = ""
    ledger: str = ""
    proof: str = ""

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> HeadRecord:
        """Return the head that a row holds.

        Raises:
            ValueError: A column is unknown, or holds what it cannot.
            TypeError: A column is missing.
        """
        _check(cls, row)
        return cls(**row)


@cache
def _kinds_of(record: type) -> dict[str, Any]:
    return get_type_hints(record)


def _check(record: type, row: Mapping[str, Any]) -> None:
    """See that each value of a row is of its column's kind; counts, bytes, J and s are from 0.

    Raises:
        ValueError: One is not.
    """
    hints = _kinds_of(record)
    for name, value in row.items():
        if name not in hints:
            raise ValueError(f"it has a column {name!r:.40}")
        if not isinstance(value, hints[name]):
            raise ValueError(f"{name} is {value!r:.40}")
        counted = isinstance(value, int) or name.endswith(("_j", "_s"))
        if counted and value is not None and not 0 <= value < math.inf:
            raise ValueError(f"{name} is {value!r:.40}")
