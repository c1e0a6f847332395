"""What a reply says about its device's energy: believed only as far as it is about this request."""

from __future__ import annotations

from collections.abc import Sequence

from frugalfl.energy import SERVER, EnergyRecord, Head
from frugalfl.errors import FrameError
from frugalfl_server.records import HeadRecord


def check_energy(
    records: Sequence[EnergyRecord], head: Head | None, run: str, round_: int
) -> list[HeadRecord]:
    """Check a reply's energy records; return where its ledger ended, if it says so.

    Raises:
        FrameError: They are of another run or round, or of several clients.
    """
    clients = {record.client for record in records}
    told = {(record.run, record.round) for record in records}
    if told - {(run, round_)} or len(clients) > 1 or SERVER in clients:
        raise FrameError(
            f"its energy records are of {sorted(told)!r:.80} and clients "
            f"{sorted(clients)!r:.80}, not its own of this round"
        )
    if head is None or not clients:
        return []
    return [HeadRecord(clients.pop(), round_, head.number, head.hash.hex())]
