"""The one place that knows names inside a Flower RecordDict.

A model travels as *one* Array of raw bytes with a stype of our own: Flower makes a POST of every
Array, and compresses none. The bytes are frames, one after the other.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from frugalfl.blocks import FloatArray
from frugalfl.energy import EnergyRecord, Head, bundle
from frugalfl.energy.chain import HASH_BYTES, PROOF_BYTES
from frugalfl.energy.level import BatteryLevel
from frugalfl.errors import FrameError
from frugalfl.fold import unfold
from frugalfl.form import Form
from frugalfl.text import MOST_LETTERS, is_printable, printable

STYPE = "frugalfl.frames.v1"
RANGES_STYPE = "frugalfl.ranges.v1"
PROGRAM_STYPE = "frugalfl.program.v1"
#: Flower's message type of the question for activation ranges.
CALIBRATE = "query.calibrate"
#: Number of an error that says: this client's task raised, or its rows cannot be trained on. Flower
#: has none for it, and hands numbers on as they are.
TASK_FAILED = 1001
_ARRAYS, _CONFIG, _METRICS, _LEDGER = "arrays", "config", "metrics", "ledger"
_FRAMES, _RANGES, _PROGRAM = "frames", "ranges", "program"
#: Flower's own name for it.
PROXIMAL_MU = "proximal-mu"
LEARNING_RATE = "learning-rate"
_LINK, _NOTICE, _TRAINER, _PROGRAMS = "link", "notice", "trainer", "programs"
_EPOCHS, _BATTERY, _CHARGING, _RESUMED = "epochs", "battery", "charging", "resumed"
_CARRYING, _AGAIN, _TALLY = "carrying", "again", "tally"
_KIND, _INPUTS, _TARGETS, _FEWEST = "kind", "inputs", "targets", "fewest"
_RECORDS, _NUMBER, _HASH, _MARK, _PROOF = "records", "number", "hash", "mark", "proof"
#: The trainer that a reply which names none comes from.
TORCH, LITERT = "torch", "litert"
#: Most digests that are read from a reply, each SHA-256 in hexadecimal digits.
_MAX_PROGRAMS, _DIGEST = 256, re.compile("[0-9a-f]{64}")
#: Beyond any round, version, or number of epochs that a server can mean.
_MOST_COUNT, _MOST_EPOCHS = 1 << 40, 10_000
#: Beyond any row's number of dimensions.
_MOST_DIMENSIONS = 16
#: Longest text that is read at all (characters).
_MOST_LETTERS = 4096


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
        epochs: Passes over the client's own rows; 0: as the settings say.
        learning_rate: Step size of its local steps; 0: as the settings say.
        program: Digest of the training program to run; empty: none, PyTorch trains.
        program_file: That program, where the client is not known to have it.
        resumed: The round that the run began again with, for each time that its server was stopped
            and resumed it: what a client did in that round or later before was never used.
        again: Whether the client is asked this once more, because it was killed while it worked:
            what it did for it before was never used.
        form: What the client's rows have to look like; ``None``: the server does not say.
    """

    run: str
    round: int
    base: int
    version: int
    blocks: tuple[int, ...]
    frames: bytes
    uplink: str
    proximal_mu: float = 0.0
    epochs: int = 0
    program: str = ""
    program_file: bytes = b""
    resumed: tuple[int, ...] = ()
    again: bool = False
    form: Form | None = None
    learning_rate: float = 0.0


@dataclass(frozen=True)
class TrainReply:
    """What a client answers.

    Attributes:
        held: Version of the model that the client holds now; -1: none.
        frame: One frame with its update; empty where the client could not train, because it does
            not hold the version that it was thought to hold, or its battery is too low.
        samples: Training rows of the client.
        loss: Mean training loss over the last local epoch.
        records: Energy records of this round, one a phase.
        head: Where the device's ledger ends, with these records in it.
        link: The link that the device declares; empty: none.
        notice: One line for the person at the server about what went wrong on the device without
            costing its contribution; empty: nothing.
        accuracy: Share of ``scored`` rows that the client's own model gets right; ``None``: it
            did not measure, or nothing is right or wrong in this task.
        scored: Rows of its own that the client measured on; 0: it did not.
        battery: How full its battery is; ``None``: it has none, or was not asked to look.
        trainer: What trains on this client: :data:`TORCH`, or :data:`LITERT`.
        programs: Digests of the training programs that it has, where it could not train.
        tally: Sums over the ``scored`` rows that the task's measures are computed from
            (:mod:`frugalfl.kinds`); empty for a classification, where ``accuracy`` says it.
    """

    held: int
    frame: bytes = b""
    samples: int = 0
    loss: float = 0.0
    records: tuple[EnergyRecord, ...] = ()
    head: Head | None = None
    link: str = ""
    notice: str = ""
    accuracy: float | None = None
    scored: int = 0
    battery: BatteryLevel | None = None
    trainer: str = TORCH
    programs: tuple[str, ...] = ()
    tally: tuple[float, ...] = ()


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
        program: As of :class:`TrainRequest`; any that holds this model.
        program_file: As of :class:`TrainRequest`.
        resumed: As of :class:`TrainRequest`.
        again: As of :class:`TrainRequest`.
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
        trainer: As of :class:`TrainReply`.
        programs: As of :class:`TrainReply`.
        accuracy: Of the model that the ranges are of, where only clients can measure it; otherwise
            as of :class:`TrainReply`.
        scored: As of :class:`TrainReply`.
        tally: As of :class:`TrainReply`.
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


def is_ours(content: RecordDict) -> bool:
    """Say whether a request comes from this project's server, which takes folded answers."""
    arrays = content.array_records.get(_ARRAYS)
    return arrays is not None and _FRAMES in arrays and arrays[_FRAMES].stype == STYPE


def offer_carrying(content: RecordDict) -> None:
    """Say in a request that its answer may carry its content (:mod:`frugalfl.carried`)."""
    config = content.get(_CONFIG)
    if isinstance(config, ConfigRecord) and is_ours(content):
        config[_CARRYING] = True


def offers_carrying(content: RecordDict) -> bool:
    """Say whether the answer to a request may carry its content."""
    config = content.get(_CONFIG)
    return isinstance(config, ConfigRecord) and config.get(_CARRYING) is True


def asked_again(content: RecordDict) -> RecordDict:
    """Return a request's content for a client that was killed while it worked on it.

    What it did for it, residual and private blocks, is in vain: it begins from before.
    """
    config = ConfigRecord({**content.config_records[_CONFIG], _AGAIN: True})
    return RecordDict({**content, _CONFIG: config})


def is_asked_again(content: RecordDict) -> bool:
    """Say whether a request is one that its client was sent before."""
    config = content.get(_CONFIG)
    return isinstance(config, ConfigRecord) and config.get(_AGAIN) is True


def question_of(content: RecordDict) -> bytes:
    """Return a digest (32 B) of a request that is the same if it is asked again.

    That of a round which a resumed run does anew is another one.
    """
    digest = hashlib.sha256()
    for name, record in sorted(content.config_records.items()):
        items = sorted(
            (key, value) for key, value in record.items() if key not in (_AGAIN, _CARRYING)
        )
        digest.update(repr((name, items)).encode())
    for name, arrays in sorted(content.array_records.items()):
        for key, array in sorted(arrays.items()):
            digest.update(repr((name, key, len(array.data))).encode() + array.data)
    return digest.digest()


def length_of(content: RecordDict) -> int:
    """Return the length (B) of a request's frames and training program."""
    return sum(len(array.data) for array in content.array_records[_ARRAYS].values())


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
    if request.epochs:
        config[_EPOCHS] = request.epochs
    if request.learning_rate:
        config[LEARNING_RATE] = request.learning_rate
    if request.form is not None:
        _pack_form(request.form, config)
    return RecordDict({_ARRAYS: _pack_sent(request, config), _CONFIG: config})


def unpack_request(message: Message) -> TrainRequest:
    """Read a train message.

    Raises:
        FrameError: Something that belongs there is missing.
    """
    content = unfold(message.content)
    config = _config_of_ours(content)
    epochs = _whole(config, _EPOCHS) if _EPOCHS in config else 0
    mu = _number(config, PROXIMAL_MU) if PROXIMAL_MU in config else 0.0
    rate = _number(config, LEARNING_RATE) if LEARNING_RATE in config else 0.0
    if not 0 <= epochs <= _MOST_EPOCHS or not 0 <= mu < math.inf:
        raise FrameError(f"the message asks for {epochs} epochs, with a proximal mu of {mu}")
    if not 0 <= rate < math.inf:
        raise FrameError(f"the message asks for a step size of {rate}")
    return TrainRequest(
        run=_name(config, "run"),
        round=_count(config, "round"),
        base=_whole(config, "base"),
        version=_count(config, "version"),
        blocks=_numbers(config, "blocks"),
        frames=_unpack_bytes(content),
        uplink=_text(config, "uplink"),
        proximal_mu=mu,
        epochs=epochs,
        program=_any_text(config, _PROGRAM),
        program_file=_unpack_program(content),
        resumed=_numbers(config, _RESUMED) if _RESUMED in config else (),
        again=config.get(_AGAIN) is True,
        form=_form(config),
        learning_rate=rate,
    )


def pack_reply(reply: TrainReply) -> RecordDict:
    """Return the content of a reply: one ArrayRecord and one MetricRecord, as Flower expects."""
    metrics = MetricRecord(
        {"num-examples": reply.samples, "train-loss": reply.loss, "held-version": reply.held}
    )
    _pack_scores(metrics, reply)
    ledger = _pack_ledger(reply.records, reply.head)
    # Beside the ledger, not in a record of their own, which Flower would send as one more POST.
    _note(ledger, reply)
    if reply.link:
        ledger[_LINK] = reply.link
    if reply.battery is not None:
        ledger[_BATTERY], ledger[_CHARGING] = reply.battery.percent, reply.battery.charging
    return RecordDict({_ARRAYS: _pack_bytes(reply.frame), _METRICS: metrics, _LEDGER: ledger})


def unpack_reply(message: Message) -> TrainReply:
    """Read a reply.

    Raises:
        FrameError: Something that belongs there is missing or of another type.
    """
    content = unfold(message.content)
    metrics = _record(content, _METRICS, MetricRecord)
    ledger = _record(content, _LEDGER, ConfigRecord)
    notice, trainer, programs = _noted(ledger)
    accuracy, scored = _scores(metrics)
    return TrainReply(
        held=_whole(metrics, "held-version"),
        frame=_unpack_bytes(content),
        samples=_whole(metrics, "num-examples"),
        loss=_number(metrics, "train-loss"),
        records=_records(ledger),
        head=_head(ledger),
        link=printable(_any_text(ledger, _LINK)),
        notice=notice,
        accuracy=accuracy,
        scored=scored,
        trainer=trainer,
        programs=programs,
        battery=_battery(ledger),
        tally=_tally(metrics),
    )


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
    return RecordDict({_ARRAYS: _pack_sent(request, config), _CONFIG: config})


def unpack_calibrate_request(message: Message) -> CalibrateRequest:
    """Read a calibrate message.

    Raises:
        FrameError: Something that belongs there is missing.
    """
    content = unfold(message.content)
    config = _config_of_ours(content)
    percentile = _number(config, "percentile")
    if not 50 < percentile <= 100:
        raise FrameError(f"the message asks for the percentile {percentile}")
    return CalibrateRequest(
        run=_name(config, "run"),
        round=_count(config, "round"),
        base=_whole(config, "base"),
        version=_count(config, "version"),
        frames=_unpack_bytes(content),
        percentile=percentile,
        program=_any_text(config, _PROGRAM),
        program_file=_unpack_program(content),
        resumed=_numbers(config, _RESUMED) if _RESUMED in config else (),
        again=config.get(_AGAIN) is True,
    )


def pack_calibrate_reply(reply: CalibrateReply) -> RecordDict:
    """Return the content of a reply with ranges."""
    data = reply.ranges.astype("<f4").tobytes()
    ranges = Array(dtype="float32", shape=reply.ranges.shape, stype=RANGES_STYPE, data=data)
    ledger = _pack_ledger(reply.records, reply.head)
    _note(ledger, reply)
    metrics = MetricRecord({"held-version": reply.held})
    _pack_scores(metrics, reply)
    return RecordDict({_ARRAYS: ArrayRecord({_RANGES: ranges}), _METRICS: metrics, _LEDGER: ledger})


def unpack_calibrate_reply(message: Message) -> CalibrateReply:
    """Read a reply with ranges; that they make sense is not checked here.

    Raises:
        FrameError: Something that belongs there is missing or of another type.
    """
    content = unfold(message.content)
    array = _record(content, _ARRAYS, ArrayRecord).get(_RANGES)
    if array is None or array.stype != RANGES_STYPE or len(array.data) % 8:
        raise FrameError("the reply carries no ranges; is the other end of the same version?")
    ledger = _record(content, _LEDGER, ConfigRecord)
    metrics = _record(content, _METRICS, MetricRecord)
    notice, trainer, programs = _noted(ledger)
    accuracy, scored = _scores(metrics)
    return CalibrateReply(
        held=_whole(metrics, "held-version"),
        ranges=np.frombuffer(array.data, "<f4").astype(np.float32).reshape(-1, 2),
        records=_records(ledger),
        head=_head(ledger),
        notice=notice,
        trainer=trainer,
        programs=programs,
        accuracy=accuracy,
        scored=scored,
        tally=_tally(metrics),
    )


def pack_average(arrays: dict[str, np.ndarray[Any, Any]], samples: int, loss: float) -> RecordDict:
    """Return a decoded reply as Flower's own strategies want it: arrays by name, and a weight."""
    record = ArrayRecord({name: Array(array) for name, array in arrays.items()})
    return RecordDict(
        {_ARRAYS: record, _METRICS: MetricRecord({"num-examples": samples, "train-loss": loss})}
    )


def _pack_bytes(data: bytes) -> ArrayRecord:
    return ArrayRecord({_FRAMES: Array(dtype="uint8", shape=(len(data),), stype=STYPE, data=data)})


def _pack_sent(request: TrainRequest | CalibrateRequest, config: ConfigRecord) -> ArrayRecord:
    """Return a request's frames, and its program where it goes along; name that in ``config``."""
    arrays = _pack_bytes(request.frames)
    if request.resumed:
        config[_RESUMED] = list(request.resumed)
    if request.program:
        config[_PROGRAM] = request.program
    data = request.program_file
    if data:
        arrays[_PROGRAM] = Array(dtype="uint8", shape=(len(data),), stype=PROGRAM_STYPE, data=data)
    return arrays


def _pack_form(form: Form, config: ConfigRecord) -> None:
    config[_KIND], config[_FEWEST] = form.kind, form.fewest
    config[_INPUTS], config[_TARGETS] = list(form.inputs), list(form.targets)


def _form(config: Any) -> Form | None:
    """Read what a client's rows have to look like; ``None``: the message does not say."""
    if _KIND not in config:
        return None
    inputs, targets = (_numbers(config, name) for name in (_INPUTS, _TARGETS))
    fewest = _count(config, _FEWEST)
    for shape in (inputs, targets):
        if len(shape) > _MOST_DIMENSIONS or not all(0 < size <= _MOST_COUNT for size in shape):
            raise FrameError(f"the message names rows of shape {shape!r:.60}, which cannot be")
    return Form(_text(config, _KIND), inputs, targets, fewest)


def _unpack_program(content: RecordDict) -> bytes:
    array = _record(content, _ARRAYS, ArrayRecord).get(_PROGRAM)
    if array is None:
        return b""
    if array.stype != PROGRAM_STYPE:
        raise FrameError(
            f"the message's program is {array.stype}; is the other end of this version?"
        )
    return bytes(array.data)


def _note(ledger: ConfigRecord, reply: TrainReply | CalibrateReply) -> None:
    """Put what a device says of itself beside its energy records; what goes without saying, not."""
    if reply.notice:
        ledger[_NOTICE] = reply.notice
    if reply.trainer != TORCH:
        ledger[_TRAINER] = reply.trainer
    if reply.programs:
        ledger[_PROGRAMS] = list(reply.programs)


def _noted(ledger: Any) -> tuple[str, str, tuple[str, ...]]:
    """Read the same from a reply: notice, trainer and programs."""
    trainer = _text(ledger, _TRAINER) if _TRAINER in ledger else TORCH
    programs = ledger.get(_PROGRAMS, [])
    if trainer not in (TORCH, LITERT):
        raise FrameError(f"the reply names the trainer {trainer[:20]!r}; is it of this version?")
    if not isinstance(programs, list) or len(programs) > _MAX_PROGRAMS:
        raise FrameError("the reply's list of training programs cannot be read")
    if not all(isinstance(one, str) and _DIGEST.fullmatch(one) for one in programs):
        raise FrameError("the reply names a training program by something that is no SHA-256")
    return printable(_any_text(ledger, _NOTICE)), trainer, tuple(programs)


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


def _config_of_ours(content: RecordDict) -> ConfigRecord:
    """Return what a request asks for.

    Raises:
        FrameError: It is of another ServerApp than ours.
    """
    config = content.get(_CONFIG)
    if not isinstance(config, ConfigRecord) or "run" not in config:
        raise FrameError(
            "this message is of a ServerApp that is not FrugalFL's, and a FrugalFL client answers "
            "no other: name frugalfl_server.app:app as serverapp in the app's pyproject.toml"
        )
    return config


def _item(record: Any, name: str) -> Any:
    if name not in record:
        raise FrameError(
            f"the message has no field {name!r}; is the other end of the same version?"
        )
    return record[name]


def _whole(record: Any, name: str) -> int:
    value = _item(record, name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise FrameError(f"the message's {name} is {value!r:.60}, not a whole number")
    return value


def _numbers(record: Any, name: str) -> tuple[int, ...]:
    value = _item(record, name)
    if not isinstance(value, list) or not all(type(one) is int for one in value):
        raise FrameError(f"the message's {name} are {value!r:.60}, not a list of whole numbers")
    return tuple(value)


def _count(record: Any, name: str) -> int:
    value = _whole(record, name)
    if not 0 <= value <= _MOST_COUNT:
        raise FrameError(f"the message's {name} is {value!r:.60}, not from 0 to {_MOST_COUNT}")
    return value


def _number(record: Any, name: str) -> float:
    value = _item(record, name)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise FrameError(f"the message's {name} is {value!r:.60}, not a number")
    try:
        return float(value) if math.isfinite(value) else math.nan
    except OverflowError:
        return math.nan


def _text(record: Any, name: str) -> str:
    value = _item(record, name)
    if not isinstance(value, str) or len(value) > _MOST_LETTERS:
        raise FrameError(
            f"the message's {name} is {value!r:.60}, not a text of up to {_MOST_LETTERS} letters"
        )
    return value


def _name(record: Any, name: str) -> str:
    """Read a text that a device's ledger keeps: it must be able to show it."""
    value = _text(record, name)
    if len(value) > MOST_LETTERS or not is_printable(value):
        raise FrameError(f"the message's {name} is {value!r:.60}, which cannot be a name")
    return value


def _any_text(record: Any, name: str) -> str:
    return _text(record, name) if name in record else ""


def _pack_ledger(records: tuple[EnergyRecord, ...], head: Head | None) -> ConfigRecord:
    ledger = ConfigRecord({_RECORDS: bundle.pack(records)} if records else {})
    if head is not None:
        ledger[_NUMBER], ledger[_HASH] = head.number, head.hash
        if head.proof:
            ledger[_MARK], ledger[_PROOF] = head.ledger, head.proof
    return ledger


def _records(ledger: Any) -> tuple[EnergyRecord, ...]:
    data = ledger.get(_RECORDS, b"")
    try:
        if not isinstance(data, bytes):
            raise ValueError("they are no bytes")
        return bundle.unpack(data)
    except ValueError as error:
        raise FrameError(f"the reply's energy records cannot be read: {error}") from error


def _head(ledger: Any) -> Head | None:
    if _NUMBER not in ledger:
        return None
    number, digest = _whole(ledger, _NUMBER), _item(ledger, _HASH)
    if not 0 <= number <= _MOST_COUNT or not isinstance(digest, bytes) or len(digest) != HASH_BYTES:
        raise FrameError(f"the reply's ledger ends at {number} with the hash {digest!r:.60}")
    if _PROOF not in ledger:
        return Head(number, digest)  # of a client from before there were proofs
    mark, proof = _item(ledger, _MARK), _item(ledger, _PROOF)
    for one in (mark, proof):
        if not isinstance(one, bytes) or len(one) != PROOF_BYTES:
            raise FrameError(f"the reply's ledger ends with the proof {one!r:.60}")
    return Head(number, digest, mark, proof)


def _battery(ledger: Any) -> BatteryLevel | None:
    if _BATTERY not in ledger:
        return None
    percent, charging = _number(ledger, _BATTERY), _item(ledger, _CHARGING)
    if not 0 <= percent <= 100 or not isinstance(charging, bool):
        raise FrameError(f"the reply's battery is at {percent} %, charging: {charging!r:.60}")
    return BatteryLevel(percent, charging)


def _pack_scores(metrics: MetricRecord, reply: TrainReply | CalibrateReply) -> None:
    if reply.scored:
        metrics["scored"] = reply.scored
    if reply.accuracy is not None:
        metrics["accuracy"] = reply.accuracy
    if reply.tally:
        metrics[_TALLY] = list(reply.tally)


def _scores(metrics: MetricRecord) -> tuple[float | None, int]:
    """Read the accuracy that a client measured, and on how many rows.

    Raises:
        FrameError: They cannot be.
    """
    accuracy = _number(metrics, "accuracy") if "accuracy" in metrics else None
    scored = _whole(metrics, "scored") if "scored" in metrics else 0
    if not (accuracy is None or 0 <= accuracy <= 1) or scored < 0:
        raise FrameError(f"the reply claims an accuracy of {accuracy} on {scored} rows")
    return accuracy, scored


def _tally(metrics: MetricRecord) -> tuple[float, ...]:
    """Return a client's sums over its rows; empty where it sent none.

    Raises:
        FrameError: They are no finite numbers.
    """
    value = metrics.get(_TALLY, [])
    if not isinstance(value, list) or not all(map(math.isfinite, value)):
        raise FrameError(f"the reply's tally is {value!r:.80}, not finite numbers")
    return tuple(map(float, value))
