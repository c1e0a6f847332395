"""Counters before the first round: a client's tables, and then the sums at its own keys."""

from __future__ import annotations

from dataclasses import dataclass

from flwr.app import Message, RecordDict

from frugalfl.energy import EnergyRecord, Head
from frugalfl.fold_message import unfold
from frugalfl.wire.content import config_of_ours, unpack_bytes
from frugalfl.wire.fields import read_name
from frugalfl.wire.plain import pack_plain_reply, pack_plain_request, read_told

#: Flower's message type.
COUNTERS = "query.counters"


@dataclass(frozen=True)
class CountersRequest:
    """The server's question for a client's tables, or the sums that it is handed back.

    Attributes:
        run: Name of the run.
        sums: Packed tables (:mod:`frugalfl.sums`) to keep; empty: the client's own are asked for.
    """

    run: str
    sums: bytes = b""

    @property
    def round(self) -> int:
        """Round that it belongs to: it comes before the first one."""
        return 0

    @property
    def downlink_bytes(self) -> int:
        """Length of what it carries (B)."""
        return len(self.sums)


@dataclass(frozen=True)
class CountersReply:
    """What a client answers.

    Attributes:
        tables: Packed tables of its counters; empty if it was handed sums.
        records: Energy records, one a phase.
        head: Where the device's ledger ends, with these records in it.
        link: The link that the device declares; empty: none.
        notice: One line for the person at the server; empty: nothing.
    """

    tables: bytes
    records: tuple[EnergyRecord, ...] = ()
    head: Head | None = None
    link: str = ""
    notice: str = ""

    @property
    def uplink_bytes(self) -> int:
        """Length of what it carries (B)."""
        return len(self.tables)


def pack_counters_request(request: CountersRequest) -> RecordDict:
    """Return the content of the question."""
    return pack_plain_request(request.sums, request.run)


def unpack_counters_request(message: Message) -> CountersRequest:
    """Read the question.

    Raises:
        FrameError: Something that belongs there is missing.
    """
    content = unfold(message.content)
    return CountersRequest(read_name(config_of_ours(content), "run"), unpack_bytes(content))


def pack_counters_reply(reply: CountersReply) -> RecordDict:
    """Return the content of the answer."""
    return pack_plain_reply(reply.tables, reply, reply.link)


def unpack_counters_reply(message: Message) -> CountersReply:
    """Read the answer; that it makes sense is not checked here.

    Raises:
        FrameError: Something that belongs there is missing or of another type.
    """
    content = unfold(message.content)
    return CountersReply(
        tables=unpack_bytes(content),
        **read_told(content),
    )
