"""The one place that knows names inside a Flower RecordDict.

A model travels as *one* Array of raw bytes with a stype of our own: Flower makes a POST of every
Array, and compresses none. The bytes are frames, one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from frugalfl.blocks import FloatArray
from frugalfl.energy import EnergyRecord
from frugalfl.errors import FrameError

STYPE = "frugalfl.frames.v1"
RANGES_STYPE = "frugalfl.ranges.v1"
#: Flower's message type of the question for activation ranges.
CALIBRATE = "query.calibrate"
_ARRAYS, _CONFIG, _METRICS, _LEDGER = "arrays", "config", "metrics", "ledger"
_FRAMES, _RANGES = "frames", "ranges"
#: Flower's own name for it.
PROXIMAL_MU = "proximal-mu"
_LINK, _NOTICE = "link", "notice"
#: Longest text that is read from a reply (characters).
_MAX_TEXT = 300

#: Fields of an energy record that differ between the phases of one round; the others are sent once.
_PER_PHASE = ("phase", "start_unix_s", "wall_s", "cpu_s", "energy_j", "idle_j", "samples",
              "uplink_bytes", "downlink_bytes")  # fmt: skip


@dataclass(frozen=True)
class TrainRequest:
    """What the server asks of one client in one round.

    Attributes:
        run: Name of the run.
        round: Round, from 1.
        base: Version that the client must hold for ``frames`` to apply; -1: any, or none.
        version: Version of the model to train, once ``frames`` are applied.
        blocks: Numbers of the blocks to train and to send back.
        frames: Frames that lead from what the client holds to ``version``; may be empty.
        uplink: Text of the codec for the client's update.
        proximal_mu: Weight of FedProx's proximal term in the client's loss; 0 for none.
    """

    run: str
    round: int
    base: int
    version: int
    blocks: tuple[int, ...]
    frames: bytes
    uplink: str
    proximal_mu: float = 0.0


@dataclass(frozen=True)
class TrainReply:
    """What a client answers.

    Attributes:
        held: Version of the model that the client holds now; -1: none.
        frame: One frame with its update; empty where the client could not train, because it does
            not hold the version that it was thought to hold.
        samples: Training rows of the client.
        loss: Mean training loss over the last local epoch.
        records: Energy records of this round, one a phase.
        link: The link that the device declares; empty: none.
        notice: One line for the person at the server about what went wrong on the device without
            costing its contribution; empty: nothing.
        accuracy: Share of ``scored`` rows that the client's own model gets right.
        scored: Rows of its own that the client measured on; 0: it did not.
    """

    held: int
    frame: bytes = b""
    samples: int = 0
    loss: float = 0.0
    records: tuple[EnergyRecord, ...] = ()
    link: str = ""
    notice: str = ""
    accuracy: float = 0.0
    scored: int = 0


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
            (:func:`~frugalfl.activations.ranges_of`).
    """

    run: str
    round: int
    base: int
    version: int
    frames: bytes
    percentile: float = 100.0


@dataclass(frozen=True)
class CalibrateReply:
    """What a client answers to it.

    Attributes:
        held: Version of the model that the client holds now; -1: none.
        ranges: Minimum and maximum of every tensor, float32, shape ``(tensors, 2)``; no tensors
            where the client does not hold the version that it was thought to hold.
        records: Energy records, one a phase.
        notice: One line for the person at the server; empty: nothing.
    """

    held: int
    ranges: FloatArray
    records: tuple[EnergyRecord, ...] = ()
    notice: str = ""


def pack_request(request: TrainRequest) -> RecordDict:
    """Return the content of a train message."""
    config = ConfigRecord(
        {
            "run": request.run,
            "round": request.round,
            "base": request.base,
            "version": request.version,
            "blocks": list(request.blocks),
            "uplink": request.uplink,
        }
    )
    if request.proximal_mu:
        config[PROXIMAL_MU] = request.proximal_mu
    return RecordDict({_ARRAYS: _pack_bytes(request.frames), _CONFIG: config})


def unpack_request(message: Message) -> TrainRequest:
    """Read a train message.

    Raises:
        FrameError: Something that belongs there is missing.
    """
    config = _record(message.content, _CONFIG, ConfigRecord)
    return TrainRequest(
        run=str(_item(config, "run")),
        round=int(_item(config, "round")),
        base=int(_item(config, "base")),
        version=int(_item(config, "version")),
        blocks=tuple(_item(config, "blocks")),
        frames=_unpack_bytes(message.content),
        uplink=str(_item(config, "uplink")),
        proximal_mu=float(config.get(PROXIMAL_MU, 0.0)),
    )


def pack_reply(reply: TrainReply) -> RecordDict:
    """Return the content of a reply: one ArrayRecord and one MetricRecord, as Flower expects."""
    metrics = MetricRecord(
        {"num-examples": reply.samples, "train-loss": reply.loss, "held-version": reply.held}
    )
    if reply.scored:
        metrics["accuracy"], metrics["scored"] = reply.accuracy, reply.scored
    ledger = _pack_records(reply.records)
    # Beside the ledger, not in a record of their own, which Flower would send as one more POST.
    for name, text in ((_LINK, reply.link), (_NOTICE, reply.notice)):
        if text:
            ledger[name] = text
    return RecordDict({_ARRAYS: _pack_bytes(reply.frame), _METRICS: metrics, _LEDGER: ledger})


def unpack_reply(message: Message) -> TrainReply:
    """Read a reply.

    Raises:
        FrameError: Something that belongs there is missing or of another type.
    """
    metrics = _record(message.content, _METRICS, MetricRecord)
    ledger = dict(_record(message.content, _LEDGER, ConfigRecord))
    link, notice = (str(ledger.pop(name, ""))[:_MAX_TEXT] for name in (_LINK, _NOTICE))
    accuracy, scored = float(metrics.get("accuracy", 0.0)), int(metrics.get("scored", 0))
    if not 0 <= accuracy <= 1 or scored < 0:
        raise FrameError(f"the reply claims an accuracy of {accuracy} on {scored} rows")
    return TrainReply(
        held=int(_item(metrics, "held-version")),
        frame=_unpack_bytes(message.content),
        samples=int(_item(metrics, "num-examples")),
        loss=float(_item(metrics, "train-loss")),
        records=_unpack_records(ledger),
        link=link,
        notice=notice,
        accuracy=accuracy,
        scored=scored,
    )


def pack_calibrate_request(request: CalibrateRequest) -> RecordDict:
    """Return the content of a calibrate message."""
    config = {name: value for name, value in asdict(request).items() if name != "frames"}
    return RecordDict({_ARRAYS: _pack_bytes(request.frames), _CONFIG: ConfigRecord(config)})


def unpack_calibrate_request(message: Message) -> CalibrateRequest:
    """Read a calibrate message.

    Raises:
        FrameError: Something that belongs there is missing.
    """
    config = _record(message.content, _CONFIG, ConfigRecord)
    return CalibrateRequest(
        run=str(_item(config, "run")),
        round=int(_item(config, "round")),
        base=int(_item(config, "base")),
        version=int(_item(config, "version")),
        frames=_unpack_bytes(message.content),
        percentile=float(_item(config, "percentile")),
    )


def pack_calibrate_reply(reply: CalibrateReply) -> RecordDict:
    """Return the content of a reply with ranges."""
    data = reply.ranges.astype("<f4").tobytes()
    ranges = Array(dtype="float32", shape=reply.ranges.shape, stype=RANGES_STYPE, data=data)
    ledger = _pack_records(reply.records)
    if reply.notice:
        ledger[_NOTICE] = reply.notice
    metrics = MetricRecord({"held-version": reply.held})
    return RecordDict({_ARRAYS: ArrayRecord({_RANGES: ranges}), _METRICS: metrics, _LEDGER: ledger})


def unpack_calibrate_reply(message: Message) -> CalibrateReply:
    """Read a reply with ranges; that they make sense is not checked here.

    Raises:
        FrameError: Something that belongs there is missing or of another type.
    """
    array = _record(message.content, _ARRAYS, ArrayRecord).get(_RANGES)
    if array is None or array.stype != RANGES_STYPE or len(array.data) % 8:
        raise FrameError("the reply carries no ranges; is the other end of the same version?")
    ledger = dict(_record(message.content, _LEDGER, ConfigRecord))
    notice = str(ledger.pop(_NOTICE, ""))[:_MAX_TEXT]
    return CalibrateReply(
        held=int(_item(_record(message.content, _METRICS, MetricRecord), "held-version")),
        ranges=np.frombuffer(array.data, "<f4").astype(np.float32).reshape(-1, 2),
        records=_unpack_records(ledger),
        notice=notice,
    )


def pack_average(arrays: dict[str, np.ndarray[Any, Any]], samples: int, loss: float) -> RecordDict:
    """Return a decoded reply as Flower's own strategies want it: arrays by name, and a weight."""
    record = ArrayRecord({name: Array(array) for name, array in arrays.items()})
    return RecordDict(
        {_ARRAYS: record, _METRICS: MetricRecord({"num-examples": samples, "train-loss": loss})}
    )


def _pack_bytes(data: bytes) -> ArrayRecord:
    return ArrayRecord({_FRAMES: Array(dtype="uint8", shape=(len(data),), stype=STYPE, data=data)})


def _unpack_bytes(content: RecordDict) -> bytes:
    array = _record(content, _ARRAYS, ArrayRecord).get(_FRAMES)
    if array is None or array.stype != STYPE:
        raise FrameError(f"the message carries no {STYPE} array; is the other end a FrugalFL app?")
    return bytes(array.data)


def _record(content: RecordDict, name: str, kind: type) -> Any:
    # Not by way of Flower's `array_records` and the like: each makes a copy of all records.
    record = content.get(name)
    if not isinstance(record, kind):
        raise FrameError(f"the message has no record {name!r}; is the other end a FrugalFL app?")
    return record


def _item(record: Any, name: str) -> Any:
    if name not in record:
        raise FrameError(
            f"the message has no field {name!r}; is the other end of the same version?"
        )
    return record[name]


def _pack_records(records: Sequence[EnergyRecord]) -> ConfigRecord:
    """Turn records into columns; Flower's records hold no None, so an unknown joule is NaN."""
    if not records:
        return ConfigRecord({})
    rows = [asdict(record) for record in records]
    columns: dict[str, Any] = {name: _column(name, rows) for name in rows[0]}
    return ConfigRecord(columns)


def _column(name: str, rows: list[dict[str, Any]]) -> Any:
    optional = name in ("energy_j", "idle_j", "uncertainty_rel")
    values = [float("nan") if optional and row[name] is None else row[name] for row in rows]
    return values if name in _PER_PHASE else values[0]


def _unpack_records(columns: Any) -> tuple[EnergyRecord, ...]:
    if not columns:
        return ()
    names = [field.name for field in fields(EnergyRecord)]
    count = len(_item(columns, "phase"))
    rows = []
    for index in range(count):
        row = {name: _cell(name, _item(columns, name), index, count) for name in names}
        rows.append(EnergyRecord(**row))
    return tuple(rows)


def _cell(name: str, column: Any, index: int, count: int) -> Any:
    if name in _PER_PHASE and len(column) != count:
        raise FrameError(f"the reply's energy column {name!r} has {len(column)} rows, not {count}")
    value = column[index] if name in _PER_PHASE else column
    return None if isinstance(value, float) and np.isnan(value) else value
