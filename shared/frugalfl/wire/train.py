"""Training: a model, in the frames that a client lacks, and the update that it sends back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from frugalfl.energy import EnergyRecord, Head
from frugalfl.energy.level import BatteryLevel
from frugalfl.errors import FrameError
from frugalfl.fold_message import unfold
from frugalfl.form import Form
from frugalfl.wire.content import (
    AGAIN,
    ARRAYS,
    CONFIG,
    LEDGER,
    METRICS,
    PROGRAM,
    RESUMED,
    config_of_ours,
    pack_bytes,
    pack_sent,
    unpack_bytes,
    unpack_program,
)
from frugalfl.wire.device import (
    TORCH,
    pack_about,
    pack_battery,
    pack_link,
    pack_scores,
    pack_tries,
    read_battery,
    read_head,
    read_link,
    read_notice,
    read_records,
    read_scores,
    read_tally,
    read_trainer,
    read_tries,
)
from frugalfl.wire.fields import (
    MOST_COUNT,
    read_any_text,
    read_count,
    read_fields,
    read_name,
    read_number,
    read_numbers,
    read_text,
    read_whole,
)

#: Flower's message type.
TRAIN = "train"
#: Flower's own name for it.
PROXIMAL_MU = "proximal-mu"
LEARNING_RATE = "learning-rate"
_EPOCHS, _KIND, _INPUTS, _TARGETS, _FEWEST = "epochs", "kind", "inputs", "targets", "fewest"
#: A reply with a larger loss than this, up or down, is refused.
MOST_LOSS = 1e15
#: Beyond any number of epochs that a server can mean, and beyond any row's number of dimensions.
_MOST_EPOCHS, _MOST_DIMENSIONS = 10_000, 16


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
        program: Digest of the training program to run; empty: none, PyTorch trains.
        program_file: That program, where the client is not known to have it.
        resumed: The round that the run began again with, for each time that its server was stopped
            and resumed it: what a client did in that round or later before was never used.
        again: Whether the client is asked this once more, because it was killed while it worked:
            what it did for it before was never used.
        form: What the client's rows have to look like; ``None``: the server does not say.
        learning_rate: Step size of its local steps; 0: as the settings say.
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

    @property
    def downlink_bytes(self) -> int:
        """Length of what it carries (B)."""
        return len(self.frames) + len(self.program_file)


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
        tries: Whether it trains with PyTorch and would try a training program, to go on with what
            costs it less.
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
    tries: bool = False

    @property
    def uplink_bytes(self) -> int:
        """Length of what it carries (B)."""
        return len(self.frame)


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
    return RecordDict({ARRAYS: pack_sent(request, config), CONFIG: config})


def unpack_request(message: Message) -> TrainRequest:
    """Read a train message.

    Raises:
        FrameError: Something that belongs there is missing.
    """
    content = unfold(message.content)
    config = dict(config_of_ours(content).items())
    epochs = read_whole(config, _EPOCHS) if _EPOCHS in config else 0
    mu = read_number(config, PROXIMAL_MU) if PROXIMAL_MU in config else 0.0
    if not 0 <= epochs <= _MOST_EPOCHS or not 0 <= mu < math.inf:
        raise FrameError(f"the message asks for {epochs} epochs, with a proximal mu of {mu}")
    rate = read_number(config, LEARNING_RATE) if LEARNING_RATE in config else 0.0
    if not 0 <= rate < math.inf:
        raise FrameError(f"the message asks for a step size of {rate}")
    return TrainRequest(
        run=read_name(config, "run"),
        round=read_count(config, "round"),
        base=read_whole(config, "base"),
        version=read_count(config, "version"),
        blocks=read_numbers(config, "blocks"),
        frames=unpack_bytes(content),
        uplink=read_text(config, "uplink"),
        proximal_mu=mu,
        epochs=epochs,
        program=read_any_text(config, PROGRAM),
        program_file=unpack_program(content),
        resumed=read_numbers(config, RESUMED) if RESUMED in config else (),
        again=config.get(AGAIN) is True,
        form=_form(config),
        learning_rate=rate,
    )


def pack_reply(reply: TrainReply) -> RecordDict:
    """Return the content of a reply: one ArrayRecord and one MetricRecord, as Flower expects."""
    metrics = MetricRecord(
        {"num-examples": reply.samples, "train-loss": reply.loss, "held-version": reply.held}
    )
    pack_scores(metrics, reply)
    ledger = pack_about(reply)
    pack_link(ledger, reply.link)
    pack_battery(ledger, reply.battery)
    pack_tries(ledger, reply.tries)
    return RecordDict({ARRAYS: pack_bytes(reply.frame), METRICS: metrics, LEDGER: ledger})


def unpack_reply(message: Message) -> TrainReply:
    """Read a reply.

    Raises:
        FrameError: Something that belongs there is missing or of another type.
    """
    content = unfold(message.content)
    metrics = read_fields(content, METRICS, MetricRecord)
    ledger = read_fields(content, LEDGER, ConfigRecord)
    trainer, programs = read_trainer(ledger)
    accuracy, scored = read_scores(metrics)
    return TrainReply(
        held=read_whole(metrics, "held-version"),
        frame=unpack_bytes(content),
        samples=read_whole(metrics, "num-examples"),
        loss=read_number(metrics, "train-loss"),
        records=read_records(ledger),
        head=read_head(ledger),
        link=read_link(ledger),
        notice=read_notice(ledger),
        accuracy=accuracy,
        scored=scored,
        trainer=trainer,
        programs=programs,
        battery=read_battery(ledger),
        tally=read_tally(metrics),
        tries=read_tries(ledger),
    )


def pack_average(arrays: dict[str, np.ndarray[Any, Any]], samples: int, loss: float) -> RecordDict:
    """Return a decoded reply as Flower's own strategies want it: arrays by name, and a weight."""
    record = ArrayRecord({name: Array(array) for name, array in arrays.items()})
    return RecordDict(
        {ARRAYS: record, METRICS: MetricRecord({"num-examples": samples, "train-loss": loss})}
    )


def _pack_form(form: Form, config: ConfigRecord) -> None:
    config[_KIND], config[_FEWEST] = form.kind, form.fewest
    config[_INPUTS], config[_TARGETS] = list(form.inputs), list(form.targets)


def _form(config: Any) -> Form | None:
    """Read what a client's rows have to look like; ``None``: the message does not say."""
    if _KIND not in config:
        return None
    inputs, targets = (read_numbers(config, name) for name in (_INPUTS, _TARGETS))
    fewest = read_count(config, _FEWEST)
    for shape in (inputs, targets):
        if len(shape) > _MOST_DIMENSIONS or not all(0 < size <= MOST_COUNT for size in shape):
            raise FrameError(f"the message names rows of shape {shape!r:.60}, which cannot be")
    return Form(read_text(config, _KIND), inputs, targets, fewest)
