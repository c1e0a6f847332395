"""Trees: bins and segments that a client lacks, and what is asked of it beside them."""

from __future__ import annotations

from dataclasses import dataclass

from flwr.app import Message, MetricRecord, RecordDict

from frugalfl.energy import EnergyRecord, Head
from frugalfl.fold_message import unfold
from frugalfl.wire.content import AGAIN, METRICS, RESUMED, config_of_ours, unpack_bytes
from frugalfl.wire.fields import (
    read_count,
    read_name,
    read_number,
    read_numbers,
    read_record,
    read_text,
    read_whole,
)
from frugalfl.wire.plain import pack_plain_reply, pack_plain_request, read_told

#: Flower's message type.
TREES = "train.trees"


@dataclass(frozen=True)
class TreesRequest:
    """What the server asks of a client that grows trees.

    Attributes:
        run: Name of the run.
        round: Exchange, from 1; 0: the one before the first tree.
        base: Version that the client must hold for ``parcel`` to apply; -1: any, or none.
        version: Version that the client holds once it is applied.
        parcel: What the client lacks, and a question (:mod:`frugalfl.trees.parcel`).
        way: How trees are grown, as :func:`frugalfl.trees.ways.parse_way` reads it; or
            :data:`frugalfl.trees.ways.SKETCH`.
        resumed: The exchange that the run began again with, for each time that its server was
            stopped and resumed it; as of :class:`~frugalfl.wire.TrainRequest`.
        again: As of :class:`~frugalfl.wire.TrainRequest`.
    """

    run: str
    round: int
    base: int
    version: int
    parcel: bytes
    way: str
    resumed: tuple[int, ...] = ()
    again: bool = False

    @property
    def downlink_bytes(self) -> int:
        """Length of what it carries (B)."""
        return len(self.parcel)


@dataclass(frozen=True)
class TreesReply:
    """What a client answers.

    Attributes:
        held: Version that the client holds now; -1: none.
        frame: New trees, sums or a sketch; empty if it does not hold what these build on.
        samples: Rows of the client.
        loss: Mean log loss of the model on them.
        records: Energy records, one a phase.
        head: Where the device's ledger ends, with these records in it.
        link: The link that the device declares; empty: none.
        notice: One line for the person at the server; empty: nothing.
    """

    held: int
    frame: bytes = b""
    samples: int = 0
    loss: float = 0.0
    records: tuple[EnergyRecord, ...] = ()
    head: Head | None = None
    link: str = ""
    notice: str = ""

    @property
    def uplink_bytes(self) -> int:
        """Length of what it carries (B)."""
        return len(self.frame)


def pack_trees_request(request: TreesRequest) -> RecordDict:
    """Return the content of a question about trees."""
    return pack_plain_request(
        request.parcel, request.run, request.round, request.base, request.version, request.way,
        request.resumed,
    )  # fmt: skip


def unpack_trees_request(message: Message) -> TreesRequest:
    """Read a question about trees.

    Raises:
        FrameError: Something that belongs there is missing.
    """
    content = unfold(message.content)
    config = config_of_ours(content)
    return TreesRequest(
        run=read_name(config, "run"),
        round=read_count(config, "round"),
        base=read_whole(config, "base"),
        version=read_count(config, "version"),
        parcel=unpack_bytes(content),
        way=read_text(config, "uplink"),
        resumed=read_numbers(config, RESUMED) if RESUMED in config else (),
        again=config.get(AGAIN) is True,
    )


def pack_trees_reply(reply: TreesReply) -> RecordDict:
    """Return the content of an answer about trees."""
    return pack_plain_reply(reply.frame, reply, reply.link, reply.samples, reply.loss, reply.held)


def unpack_trees_reply(message: Message) -> TreesReply:
    """Read an answer about trees; that it makes sense is not checked here.

    Raises:
        FrameError: Something that belongs there is missing or of another type.
    """
    content = unfold(message.content)
    metrics = read_record(content, METRICS, MetricRecord)
    return TreesReply(
        held=read_whole(metrics, "held-version"),
        frame=unpack_bytes(content),
        samples=read_whole(metrics, "num-examples"),
        loss=read_number(metrics, "train-loss"),
        **read_told(content),
    )
