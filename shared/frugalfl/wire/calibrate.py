"""Calibration: the ranges of the model's activations on a client's own rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from frugalfl.blocks import FloatArray
from frugalfl.energy import EnergyRecord, Head
from frugalfl.errors import FrameError
from frugalfl.fold_message import unfold
from frugalfl.wire.content import (
    AGAIN,
    ARRAYS,
    CONFIG,
    LEDGER,
    METRICS,
    PROGRAM,
    RESUMED,
    config_of_ours,
    pack_sent,
    unpack_bytes,
    unpack_program,
)
from frugalfl.wire.device import (
    TORCH,
    pack_about,
    pack_scores,
    read_head,
    read_notice,
    read_records,
    read_scores,
    read_tally,
    read_trainer,
)
from frugalfl.wire.fields import (
    read_any_text,
    read_count,
    read_name,
    read_number,
    read_numbers,
    read_record,
    read_whole,
)

#: Flower's message type.
CALIBRATE = "query.calibrate"
RANGES_STYPE = "frugalfl.ranges.v1"
_RANGES = "ranges"


@dataclass(frozen=True)
class CalibrateRequest:
    """The server's question for the ranges of the model's activations on a client's own rows.

    Attributes:
        run: Name of the run.
        round: Round that the phase counts as.
        base: Version that the client must hold for ``frames`` to apply; -1: any, or none.
        version: Version of the model to run, once ``frames`` are applied.
        frames: Frames that lead from what the client holds to ``version``; may be empty.
        percentile: Which row's minimum and maximum count, from 50 to 100
            (:func:`~frugalfl.activation_ranges.ranges_of`).
        program: As of :class:`~frugalfl.wire.TrainRequest`; any that holds this model.
        program_file: As of :class:`~frugalfl.wire.TrainRequest`.
        resumed: As of :class:`~frugalfl.wire.TrainRequest`.
        again: As of :class:`~frugalfl.wire.TrainRequest`.
    """

    run: str
    round: int
    base: int
    version: int
    frames: bytes
    percentile: float = 100.0
    program: str = ""
    program_file: bytes = b""
    resumed: tuple[int, ...] = ()
    again: bool = False

    @property
    def downlink_bytes(self) -> int:
        """Length of what it carries (B)."""
        return len(self.frames) + len(self.program_file)


@dataclass(frozen=True)
class CalibrateReply:
    """What a client answers to it.

    Attributes:
        held: Version of the model that the client holds now; -1: none.
        ranges: Minimum and maximum of every tensor, float32, shape ``(tensors, 2)``; no tensors
            where the client does not hold the version that it was thought to hold.
        records: Energy records, one a phase.
        head: Where the device's ledger ends, with these records in it.
        notice: One line for the person at the server; empty: nothing.
        trainer: As of :class:`~frugalfl.wire.TrainReply`.
        programs: As of :class:`~frugalfl.wire.TrainReply`.
        accuracy: Of the model that the ranges are of, where only clients can measure it; otherwise
            as of :class:`~frugalfl.wire.TrainReply`.
        scored: As of :class:`~frugalfl.wire.TrainReply`.
        tally: As of :class:`~frugalfl.wire.TrainReply`.
    """

    held: int
    ranges: FloatArray
    records: tuple[EnergyRecord, ...] = ()
    head: Head | None = None
    notice: str = ""
    trainer: str = TORCH
    programs: tuple[str, ...] = ()
    accuracy: float | None = None
    scored: int = 0
    tally: tuple[float, ...] = ()

    @property
    def uplink_bytes(self) -> int:
        """Length of what it carries (B)."""
        return int(self.ranges.nbytes)


def pack_calibrate_request(request: CalibrateRequest) -> RecordDict:
    """Return the content of a calibrate message."""
    config = ConfigRecord(
        {
            "run": request.run,
            "round": request.round,
            "base": request.base,
            "version": request.version,
            "percentile": request.percentile,
        }
    )
    return RecordDict({ARRAYS: pack_sent(request, config), CONFIG: config})


def unpack_calibrate_request(message: Message) -> CalibrateRequest:
    """Read a calibrate message.

    Raises:
        FrameError: Something that belongs there is missing.
    """
    content = unfold(message.content)
    config = config_of_ours(content)
    percentile = read_number(config, "percentile")
    if not 50 < percentile <= 100:
        raise FrameError(f"the message asks for the percentile {percentile}")
    return CalibrateRequest(
        run=read_name(config, "run"),
        round=read_count(config, "round"),
        base=read_whole(config, "base"),
        version=read_count(config, "version"),
        frames=unpack_bytes(content),
        percentile=percentile,
        program=read_any_text(config, PROGRAM),
        program_file=unpack_program(content),
        resumed=read_numbers(config, RESUMED) if RESUMED in config else (),
        again=config.get(AGAIN) is True,
    )


def pack_calibrate_reply(reply: CalibrateReply) -> RecordDict:
    """Return the content of a reply with ranges."""
    data = reply.ranges.astype("<f4").tobytes()
    ranges = Array(dtype="float32", shape=reply.ranges.shape, stype=RANGES_STYPE, data=data)
    ledger = pack_about(reply)
    metrics = MetricRecord({"held-version": reply.held})
    pack_scores(metrics, reply)
    return RecordDict({ARRAYS: ArrayRecord({_RANGES: ranges}), METRICS: metrics, LEDGER: ledger})


def unpack_calibrate_reply(message: Message) -> CalibrateReply:
    """Read a reply with ranges; that they make sense is not checked here.

    Raises:
        FrameError: Something that belongs there is missing or of another type.
    """
    content = unfold(message.content)
    array = read_record(content, ARRAYS, ArrayRecord).get(_RANGES)
    if array is None or array.stype != RANGES_STYPE or len(array.data) % 8:
        raise FrameError("the reply carries no ranges; is the other end of the same version?")
    ledger = read_record(content, LEDGER, ConfigRecord)
    metrics = read_record(content, METRICS, MetricRecord)
    trainer, programs = read_trainer(ledger)
    accuracy, scored = read_scores(metrics)
    return CalibrateReply(
        held=read_whole(metrics, "held-version"),
        ranges=np.frombuffer(array.data, "<f4").astype(np.float32).reshape(-1, 2),
        records=read_records(ledger),
        head=read_head(ledger),
        notice=read_notice(ledger),
        trainer=trainer,
        programs=programs,
        accuracy=accuracy,
        scored=scored,
        tally=read_tally(metrics),
    )
