"""Answers train messages for a whole cohort at once: the devices' own code around one training.

Each device opens its request, looks at it, and encodes and keeps its update by the code that runs
on a real one (:mod:`frugalfl_client.train_round`). Between these two halves all of them are trained
together, and what is alike for many is done once: decoding, and measuring the model that came.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from flwr.app import Array, Message

from frugalfl import wire
from frugalfl.errors import DivergedError, FrugalFLError
from frugalfl_client.device import ContextWithDevice, Device
from frugalfl_client.exchange import Exchange
from frugalfl_client.train_round import (
    TrainRound,
    begin,
    measure_trained,
)
from frugalfl_client.training.trainer import Trained
from frugalfl_sim.engine.bring_up_once import BringUpOnce
from frugalfl_sim.engine.cohort import Job
from frugalfl_sim.engine.measure_together import measured_together
from frugalfl_sim.engine.shared_windows import SharedWindows

#: What came of one device's training: its update, or why there is none.
_Outcome = Trained | FrugalFLError


class TrainsCohort(Protocol):
    """Trains many devices of one task at once."""

    def train(self, jobs: Sequence[Job]) -> Sequence[Trained | DivergedError]:
        """Return what came of each job, in their order."""


class CohortAnswers:
    """Answers the train messages of one run."""

    def __init__(self, trainer: TrainsCohort, flush: Callable[[], None]) -> None:
        """Take what trains.

        Args:
            trainer: Of the run's task.
            flush: Puts on the disk what the devices keep, before anybody is answered.
        """
        self._trainer = trainer
        self._flush = flush

    def takes(self, message: Message, context: ContextWithDevice) -> bool:
        """Say whether a message can be answered together with others."""
        return (
            message.metadata.message_type == wire.TRAIN
            and message.has_content()
            and context.device.trainer_name == wire.TORCH
            and not context.device.tries
        )

    def answer(self, asked: Sequence[tuple[Message, ContextWithDevice]]) -> list[Message]:
        """Let each device answer; the replies are in the order of the messages."""
        unpack = _Unpacked()
        exchanges = [Exchange(message, context) for message, context in asked]
        windows = SharedWindows(context.device.meter for _, context in asked)
        bring = BringUpOnce(windows)
        begun = [
            one for exchange in exchanges if (one := _begun(exchange, unpack, bring)) is not None
        ]
        bring.share_out()
        begun = measured_together(begun, windows)
        trained = self._trained(begun, windows)
        self._finish(trained, windows)
        self._flush()
        return [exchange.reply for exchange in exchanges]

    def _trained(
        self, begun: Sequence[TrainRound], windows: SharedWindows
    ) -> list[tuple[TrainRound, Trained]]:
        """Train all of them; those whose training failed have answered so."""
        if not begun:
            return []
        with windows.window("train") as window:
            outcomes = self._outcomes(begun)
        works = [_work(one) for one in begun]
        rows = [len(one.exchange.device.rows.examples) for one in begun]
        window.share_out([one.exchange for one in begun], works, rows)
        kept = []
        for one, outcome in zip(begun, outcomes, strict=True):
            with one.exchange:
                if isinstance(outcome, FrugalFLError):
                    raise outcome
                kept.append((replace(one, tested=measure_trained(one, outcome)), outcome))
        return kept

    def _outcomes(self, begun: Sequence[TrainRound]) -> list[_Outcome]:
        """Train; what breaks down in a subspace is trained anew with shorter steps."""
        outcomes: list[_Outcome] = self._tried(begun)
        shorter = {
            place: again
            for place, outcome in enumerate(outcomes)
            if isinstance(outcome, DivergedError)
            and (again := begun[place].with_shorter_steps()) is not None
        }
        if shorter:
            for place, outcome in zip(shorter, self._outcomes([*shorter.values()]), strict=True):
                outcomes[place] = outcome
        return outcomes

    def _tried(self, begun: Sequence[TrainRound]) -> list[_Outcome]:
        """Train once; rows that their model does not take are found before."""
        outcomes: list[_Outcome] = [_fault_of(one) or _NOT_YET for one in begun]
        sound = [place for place, outcome in enumerate(outcomes) if outcome is _NOT_YET]
        for place, outcome in zip(sound, self._together([begun[p] for p in sound]), strict=True):
            outcomes[place] = outcome
        return outcomes

    def _together(self, begun: Sequence[TrainRound]) -> list[_Outcome]:
        """Train all at once; if that fails as a whole, one after the other, to see whose fault."""
        try:
            found = self._trainer.train([_job(one) for one in begun])
        except FrugalFLError:
            return [_tried(one.train) for one in begun]
        return [
            outcome if isinstance(outcome, FrugalFLError) else _tried(one.sound, outcome)
            for one, outcome in zip(begun, found, strict=True)
        ]

    def _finish(
        self, trained: Sequence[tuple[TrainRound, Trained]], windows: SharedWindows
    ) -> None:
        """Encode, keep and answer."""
        encoded = []
        with windows.window("encode") as window:
            for one, what in trained:
                with one.exchange:
                    encoded.append((one, what, one.encode(what)))
        if not encoded:
            return
        window.share_out([one.exchange for one, *_ in encoded], [1.0] * len(encoded))
        for one, what, frame in encoded:
            with one.exchange:
                one.exchange.answer(wire.pack_reply(one.reply(what, frame)))


#: Stands for an outcome that is still to come.
_NOT_YET = FrugalFLError("not trained yet")


class _Unpacked:
    """Reads requests; those that say the same are read once."""

    def __init__(self) -> None:
        self._read: dict[object, wire.TrainRequest] = {}

    def __call__(self, message: Message) -> wire.TrainRequest:
        """Read a request.

        Raises:
            FrameError: It cannot be read.
        """
        key = _key_of(message)
        if key not in self._read:
            self._read[key] = wire.unpack_request(message)
        return self._read[key]


def _key_of(message: Message) -> tuple[object, ...]:
    """Return all that a request says, as something that can be looked up."""
    told: list[object] = []
    for name, record in message.content.items():
        told.append((name, type(record)))
        for key, value in record.items():
            if isinstance(value, Array):
                told += (key, value.dtype, value.shape, value.stype, value.data)
            else:
                told += (key, type(value), tuple(value) if isinstance(value, list) else value)
    return tuple(told)


def _begun(exchange: Exchange, unpack: _Unpacked, bring: BringUpOnce) -> TrainRound | None:
    """Begin a round on one device; ``None``: it has answered already."""
    begun: TrainRound | wire.TrainReply | None = None
    with exchange:
        begun = begin(exchange, unpack, bring)
        if isinstance(begun, wire.TrainReply):
            exchange.answer(wire.pack_reply(begun))
    return begun if isinstance(begun, TrainRound) else None


def _fault_of(begun: TrainRound) -> FrugalFLError | None:
    """Say what is wrong with a device's rows, the first time that they are trained on."""
    try:
        rows = begun.exchange.device.rows
        rows.check_model(begun.trainer, begun.weights | begun.held.private)
    except FrugalFLError as error:
        return error
    return None


def _tried(work: Callable[..., Trained], *arguments: Trained) -> _Outcome:
    try:
        return work(*arguments)
    except FrugalFLError as error:
        return error


def _work(begun: TrainRound) -> float:
    """Return what a device's training is counted as: its rows, once for each pass over them."""
    device = begun.exchange.device
    return len(device.rows.examples) * (begun.epochs or device.settings.train.epochs)


def _job(begun: TrainRound) -> Job:
    device: Device = begun.exchange.device
    return Job(
        begun.weights, begun.planned, device.rows.examples, begun.rate,
        device.drawn(begun.request.round), begun.held.private, begun.request.proximal_mu,
        begun.epochs, device.rows.fewest, begun.subspace,
    )  # fmt: skip
