"""Before the first round of a federation without public rows: what clients' rows look like."""

from __future__ import annotations

from dataclasses import dataclass

from flwr.app import Message, RecordDict

from frugalfl.energy import EnergyRecord, Head
from frugalfl.fold_message import unfold
from frugalfl.wire.content import config_of_ours, unpack_bytes
from frugalfl.wire.fields import read_name
from frugalfl.wire.plain import pack_plain_reply, pack_plain_request, read_told

#: Flower's message type.
FACTS = "query.facts"


@dataclass(frozen=True)
class FactsRequest:
    """The server's question for what a client's rows look like.

    Attributes:
        run: Name of the run.
    """

    run: str

    @property
    def round(self) -> int:
        """Round that it belongs to: it comes before the first one."""
        return 0

    @property
    def downlink_bytes(self) -> int:
        """Length of what it carries (B)."""
        return 0


@dataclass(frozen=True)
class FactsReply:
    """What a client answers.

    Attributes:
        facts: As :meth:`frugalfl.row_facts.RowFacts.to_bytes` writes them.
        records: Energy records, one a phase.
        head: Where the device's ledger ends, with these records in it.
        link: The link that the device declares; empty: none.
        notice: One line for the person at the server; empty: nothing.
    """

    facts: bytes
    records: tuple[EnergyRecord, ...] = ()
    head: Head | None = None
    link: str = ""
    notice: str = ""

    @property
    def uplink_bytes(self) -> int:
        """Length of what it carries (B)."""
        return len(self.facts)


def pack_facts_request(request: FactsRequest) -> RecordDict:
    """Return the content of the question."""
    return pack_plain_request(b"", request.run)


def unpack_facts_request(message: Message) -> FactsRequest:
    """Read the question.

    Raises:
        FrameError: Something that belongs there is missing.
    """
    content = unfold(message.content)
    return FactsRequest(read_name(config_of_ours(content), "run"))


def pack_facts_reply(reply: FactsReply) -> RecordDict:
    """Return the content of the answer."""
    return pack_plain_reply(reply.facts, reply, reply.link)


def unpack_facts_reply(message: Message) -> FactsReply:
    """Read the answer; that it makes sense is not checked here.

    Raises:
        FrameError: Something that belongs there is missing or of another type.
    """
    content = unfold(message.content)
    return FactsReply(
        facts=unpack_bytes(content),
        **read_told(content),
    )
