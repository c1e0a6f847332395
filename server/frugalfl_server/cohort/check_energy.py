"""What a reply says about its device's energy: believed only as far as it is about this request.

Joules cannot be proven from afar, but some cannot be: work takes time, which the server has seen
pass, and no device takes more power than its socket gives. What is beyond that is refused, because
a limit such as ``stop-joules`` would be reached by one lie.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from frugalfl.energy import SERVER, EnergyRecord, Head
from frugalfl.errors import FrameError
from frugalfl_server.run.records import HeadRecord

#: More than any device takes: a rack of accelerators (W).
_MOST_W = 20_000.0
#: What a phase may take beside its time (J): a contact over a mobile network is about 12.
_MOST_CONTACT_J = 2_000.0
#: A device's clock against the server's: so many seconds more, and this share (s).
_SLACK_S, _SLACK_SHARE = 10.0, 0.1
#: A device's wall clock may be so far ahead (s).
_AHEAD_S = 86_400.0
#: Beyond any frame (B), any device's rows, its connections in one round, its cores.
_MOST_BYTES, _MOST_ROWS, _MOST_CONTACTS, _MOST_CORES = 1 << 40, 1 << 31, 1 << 16, 4096
#: A client's number has up to so many digits.
_MOST_DIGITS = 9


@dataclass(frozen=True)
class Told:
    """What one reply tells of its device: who it is, and what it used.

    Attributes:
        node: The node that sent it.
        round: The round that it answers.
        records: Energy records of that round.
        head: Where the device's ledger ends, with them in it; ``None``: there are none.
    """

    node: int
    round: int
    records: tuple[EnergyRecord, ...] = ()
    head: Head | None = None

    @property
    def client(self) -> str:
        """The client's number, as text; empty: it does not say."""
        return self.records[0].client if self.records else ""

    @property
    def ledger(self) -> str:
        """The mark of its ledger, hexadecimal; empty: it does not say."""
        return "" if self.head is None else self.head.ledger.hex()

    @property
    def heads(self) -> list[HeadRecord]:
        """Where its ledger ended, as the run keeps it; nothing, if it does not say."""
        if self.head is None:
            return []
        return [
            HeadRecord(
                self.client, self.round, self.head.number, self.head.hash.hex(), str(self.node),
                self.ledger, self.head.proof.hex(),
            )
        ]  # fmt: skip


def check_told(
    node: int, records: Sequence[EnergyRecord], head: Head | None, run: str, round_: int,
    asked_s: float,
) -> Told:  # fmt: skip
    """Check what a reply tells; records without the ledger that they are in are left out.

    Args:
        node: Its sender.
        records: Its energy records.
        head: Where its ledger ends, if it says so.
        run: Name of the run that was asked about.
        round_: Round that was asked about.
        asked_s: When that was (s, monotonic clock).

    Raises:
        FrameError: The records are of another run or round, of several clients or of none, more
            than their ledger holds, or of more than there can be.
    """
    if not records:
        return Told(node, round_)
    clients = {record.client for record in records}
    about = {(record.run, record.round) for record in records}
    if about - {(run, round_)} or len(clients) > 1 or SERVER in clients:
        raise FrameError(
            f"its energy records are of {sorted(about)!r:.80} and clients "
            f"{sorted(clients)!r:.80}, not its own of this round"
        )
    if not _is_number(records[0].client):
        raise FrameError(f"its energy records are of client {records[0].client!r:.40}, no number")
    if head is None:
        return Told(node, round_)
    if head.number < len(records):
        raise FrameError(
            f"its energy records are {len(records)}, and its ledger ends at {head.number}"
        )
    passed_s = max(time.monotonic() - asked_s, 0.0)
    _check_time(records, passed_s * (1 + _SLACK_SHARE) + _SLACK_S)
    for record in records:
        _check_amounts(record)
    return Told(node, round_, tuple(records), head)


def _is_number(client: str) -> bool:
    return client.isascii() and client.isdecimal() and len(client) <= _MOST_DIGITS


def _check_time(records: Iterable[EnergyRecord], most_s: float) -> None:
    worked_s = sum(record.wall_s or 0.0 for record in records)
    if worked_s > most_s:
        raise FrameError(
            f"its energy records are of {worked_s:.6g} s of work, and it was asked "
            f"{most_s:.0f} s ago at most"
        )
    latest_s = max(record.start_unix_s for record in records)
    if latest_s > time.time() + _AHEAD_S:
        raise FrameError(
            f"its energy records are of the time {latest_s:.6g}, which is to come; set its clock"
        )


def _check_amounts(record: EnergyRecord) -> None:
    most_j = _MOST_CONTACT_J + _MOST_W * (record.wall_s or 0.0)
    for reading in record.readings:
        used_j = max(reading.energy_j or 0.0, reading.idle_j or 0.0)
        if used_j > most_j:
            raise FrameError(
                f"its energy records claim {used_j:.6g} J for {record.phase[:20]}, which in "
                f"{record.wall_s or 0.0:.3g} s no device uses"
            )
    if (record.cpu_s or 0.0) > _MOST_CORES * ((record.wall_s or 0.0) + 1):
        raise FrameError(f"its energy records claim {record.cpu_s:.6g} s of processor time")
    counts = {
        "bytes": (max(record.uplink_bytes, record.downlink_bytes), _MOST_BYTES),
        "rows": (max(record.samples, record.correct or 0), _MOST_ROWS),
        "right of its rows": (record.correct or 0, record.samples),
        "contacts": (record.contacts, _MOST_CONTACTS),
    }
    for what, (count, most) in counts.items():
        if count > most:
            raise FrameError(f"its energy records claim {count} {what}, at most {most} can be")
