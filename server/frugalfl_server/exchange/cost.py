"""What one exchange cost: every question to a cohort is accounted for here, whatever it asks."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from flwr.app import RecordDict

from frugalfl import wire
from frugalfl.energy import EnergyRecord, totals
from frugalfl.energy.record_sums import spent_joules
from frugalfl.errors import FederationError, FrameError, FrugalFLError, TaskError
from frugalfl.kinds import Scores
from frugalfl.text import printable
from frugalfl_server.exchange.failures import TaskFailedError
from frugalfl_server.run.records import HeadRecord, RoundRecord
from frugalfl_server.run.summary import OURS

#: Of an exchange that measures nothing.
NO_SCORES = Scores(None, {})


class Statement(Protocol):
    """What a reply tells of its device: energy records, and where its ledger ended."""

    @property
    def records(self) -> tuple[EnergyRecord, ...]:
        """Energy records of this exchange."""

    @property
    def heads(self) -> list[HeadRecord]:
        """Where the device's ledger ended."""


@dataclass
class Cost:
    """What one exchange, or all of those that make one round, cost; filled while it runs.

    Attributes:
        round: Round that it belongs to; 0: before the first one.
        started_s: When it began (s, monotonic clock).
        clients: Clients that were asked.
        skipped: Clients that were there and could not be asked.
        set_aside: Clients that were there and were not asked, because of garbage.
        answers: Replies that came, errors among them.
        updates: Of these, those that changed the model.
        late: Of ``updates``, answers to an earlier round.
        uplink_bytes: Length of what replies carried that could be opened (B).
        uploads: Of ``answers``, those that carried it.
        downlink_bytes: Length of what requests carried (B).
        program_bytes: Of these, training programs (B).
        loss: Mean loss that the clients report; ``None``: they report none.
        energy: Energy records of the clients.
        heads: Where their ledgers ended.
        failures: One line about each client that gave no answer, or none that counts.
        unfit: Of these, clients whose own task failed.
    """

    round: int
    started_s: float = field(default_factory=time.monotonic)
    clients: int = 0
    skipped: int = 0
    set_aside: int = 0
    answers: int = 0
    updates: int = 0
    late: int = 0
    uplink_bytes: int = 0
    uploads: int = 0
    downlink_bytes: int = 0
    program_bytes: int = 0
    loss: float | None = None
    energy: list[EnergyRecord] = field(default_factory=list)
    heads: list[HeadRecord] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    unfit: int = 0

    def send(self, content: RecordDict) -> None:
        """Count the bytes of a request."""
        self.downlink_bytes += wire.length_of(content)
        self.program_bytes += wire.program_length_of(content)

    def receive(self, length: int) -> None:
        """Count the bytes of what a reply carried, whether or not it will count."""
        self.uplink_bytes += length
        self.uploads += length > 0

    def take(self, told: Statement) -> None:
        """Count what a client used."""
        self.energy += told.records
        self.heads += told.heads

    def give_back(self, told: Statement) -> None:
        """Count what a client said it used no more: it was not that client."""
        gone = {id(record) for record in told.records}
        self.energy = [record for record in self.energy if id(record) not in gone]
        self.heads = [head for head in self.heads if head not in told.heads]

    def fail(self, node: int, error: FrameError) -> None:
        """Note why an answer of a client is missing, or does not count."""
        self.unfit += isinstance(error, TaskFailedError)
        self.failures.append(f"node {node}: {printable(str(error))}")

    def why_nobody(self, about: str, what: str) -> FrugalFLError:
        """Return what ends a run of which no client gave what was asked for.

        Args:
            about: What was asked about.
            what: What was asked for.
        """
        if self.unfit == self.clients > 0:
            why = self.failures[0].partition(": ")[2]
            return TaskError(f"{about}: none of {self.clients} clients could: {why}")
        return FederationError(
            f"{about}: none of {self.clients} clients gave {what}; the first said: "
            f"{next(iter(self.failures), 'nothing')}"
        )

    def join(self, before: Cost) -> None:
        """Count an earlier exchange of the same round with this one."""
        self.started_s = before.started_s
        self.uplink_bytes += before.uplink_bytes
        self.uploads += before.uploads
        self.downlink_bytes += before.downlink_bytes
        self.program_bytes += before.program_bytes
        self.energy = before.energy + self.energy
        self.heads = before.heads + self.heads

    def record(
        self, phase: str, scores: Scores = NO_SCORES, server: Iterable[EnergyRecord] = (),
        federation: str = OURS, simulated_s: float | None = None,
    ) -> RoundRecord:  # fmt: skip
        """Return the row of a run's table that this is; it ends now.

        Args:
            phase: What was asked for.
            scores: Of the model after it.
            server: The server's own energy records of it.
            federation: Whose row it is.
            simulated_s: How long it took on a simulation's clock (s); ``None``: there is none.
        """
        measured_j, estimated_j = spent_joules(self.energy)
        own = totals(server)
        return RoundRecord(
            federation=federation,
            phase=phase,
            round=self.round,
            accuracy=scores.accuracy,
            loss=self.loss,
            clients=self.clients,
            updates=self.updates,
            uplink_bytes=self.uplink_bytes,
            downlink_bytes=self.downlink_bytes,
            energy_measured_j=measured_j,
            energy_estimated_j=estimated_j,
            wall_s=time.monotonic() - self.started_s,
            server_measured_j=own.measured_j,
            server_estimated_j=own.estimated_j,
            skipped=self.skipped,
            program_bytes=self.program_bytes,
            late=self.late,
            simulated_s=simulated_s,
            set_aside=self.set_aside,
            uploads=self.uploads,
            metrics=scores.metrics,
        )
