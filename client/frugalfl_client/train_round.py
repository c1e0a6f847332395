"""A round of training in two halves: what comes before the local epochs, and what comes after.

A device does both, with its trainer between them. A simulation lets many devices do the first half,
trains all of them together, and lets each do the second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from flwr.app import Message

from frugalfl import wire
from frugalfl.blocks import Layout, Parameters, within_bounds
from frugalfl.codec import Codec, encode_frame, parse_codec
from frugalfl.energy.level import BatteryLevel
from frugalfl.errors import DivergedError, FrameError, UsageError
from frugalfl.subspace import Subspace, add
from frugalfl_client.bring_up import BringUp, bring_up, builds_on
from frugalfl_client.exchange import Exchange
from frugalfl_client.held import Held
from frugalfl_client.training.step_size import share_of_step
from frugalfl_client.training.trainer import Measured, Trained, Trainer

#: How often a device tries shorter steps if its training breaks down in a subspace, and by how much
#: they are shorter each time.
_SHORTENED, _SHORTER = 2, 4


@dataclass(frozen=True)
class Tested:
    """What was measured on rows that are not trained on, and how many there were."""

    measured: Measured = field(default_factory=lambda: Measured(None))
    rows: int = 0


@dataclass(frozen=True)
class TrainRound:
    """What a device trains, with what, and where it goes from there.

    Attributes:
        exchange: The question, and its device.
        request: As the server asked.
        held: What the device holds, brought up to the request's version.
        trainer: Of the device.
        codec: Of the update.
        missed: Versions that this device let pass.
        weights: The whole model, without private blocks.
        layout: Of what the update has.
        planned: Numbers of the blocks to train.
        rate: Step size.
        epochs: Passes over the rows; 0: as the settings say.
        subspace: That training moves in; ``None``: it moves freely.
        tested: What was measured before training.
        shortened: How often the step size has been made smaller.
    """

    exchange: Exchange
    request: wire.TrainRequest
    held: Held
    trainer: Trainer
    codec: Codec
    missed: int
    weights: Parameters
    layout: Layout
    planned: tuple[int, ...]
    rate: float
    epochs: int
    subspace: Subspace | None
    tested: Tested = Tested()
    shortened: int = 0

    def train(self) -> Trained:
        """Train with the device's own trainer.

        Raises:
            DivergedError: Training breaks down.
            TaskError: As :meth:`~frugalfl_client.training.trainer.Trainer.train`.
            ProgramError: As there.
        """
        device = self.exchange.device
        return self.sound(
            self.trainer.train(
                self.weights, self.planned, device.rows.examples, self.rate,
                device.drawn(self.request.round), self.held.private, self.request.proximal_mu,
                self.epochs, device.rows.fewest, self.subspace,
            )
        )  # fmt: skip

    def train_with_care(self) -> Trained:
        """Train; in a subspace, if that breaks down, anew with shorter steps.

        Raises:
            DivergedError: It breaks down all the same.
        """
        try:
            return self.train()
        except DivergedError:
            shorter = self.with_shorter_steps()
            if shorter is None:
                raise
        return shorter.train_with_care()

    def with_shorter_steps(self) -> TrainRound | None:
        """Return what to try if training broke down; ``None``: nothing more.

        Many weights follow one coordinate, so that steps which are right in one subspace may be too
        long in the next.
        """
        if self.subspace is None or self.shortened == _SHORTENED:
            return None
        return replace(self, rate=self.rate / _SHORTER, shortened=self.shortened + 1)

    def sound(self, trained: Trained) -> Trained:
        """Return what was trained, if a model can hold it; in a subspace it is looked at here.

        The last loss is from before the last step.

        Raises:
            DivergedError: It cannot.
        """
        if self.subspace is None:
            return trained
        if not within_bounds(trained.update.values()) or abs(trained.loss) > wire.MOST_LOSS:
            raise DivergedError(
                f"training leads beyond what a model can hold, with a loss of {trained.loss:.3g}; "
                "lower learning-rate, or check the data"
            )
        return trained

    def encode(self, trained: Trained) -> bytes:
        """Return the update's frame; the codec's residual and private blocks are held from now on.

        Raises:
            CodecError: The codec refuses the update.
        """
        held, request, device = self.held, self.request, self.exchange.device
        held.private = trained.private
        update = trained.update if self.subspace is None else self.subspace.reduce(trained.update)
        frame, held.residual = encode_frame(
            self.codec, self.layout, update, base=request.version,
            version=request.version, residual=held.residual, missed=self.missed,
            seed=rounding_seed((device.settings.run.seed, device.number, request.round)),
        )  # fmt: skip
        return frame

    def reply(self, trained: Trained, frame: bytes) -> wire.TrainReply:
        """Keep the records and what is held, and return the answer.

        Raises:
            RunError: The store cannot be written.
        """
        exchange, held, device, tested = self.exchange, self.held, self.exchange.device, self.tested
        records, head, notice = exchange.close(len(frame), held.damage)
        exchange.save(self.request, held)
        return wire.TrainReply(
            held.version, frame, len(device.rows.examples), trained.loss, records, head,
            device.link, notice, tested.measured.share_of(tested.rows), tested.rows,
            device.battery(), device.trainer_name, tally=tested.measured.tally, tries=device.tries,
        )  # fmt: skip


def begin(
    exchange: Exchange,
    unpack: Callable[[Message], wire.TrainRequest] = wire.unpack_request,
    bring: BringUp = bring_up,
) -> TrainRound | wire.TrainReply:
    """See whether a device can, and may, do what is asked; if so, bring its model up.

    Args:
        exchange: The question.
        unpack: Reads it.
        bring: Brings the model up.

    Returns:
        What to train; or the answer, if nothing is to be trained.

    Raises:
        FrameError: The request cannot be read, or its frames cannot be applied.
        NotAllowedError: The device's owner is against it.
        TaskError: The device has no rows of the form that is asked for.
        ProgramError: The training program cannot run here.
        RunError: The disk cannot be used.
    """
    request = exchange.open(unpack)
    device = exchange.device
    device.prepare(request.run)
    device.rows.fit(request.form)
    device.rows.check_batches()
    held = exchange.load(request)
    battery = device.battery()
    if battery is not None and battery.below(device.settings.energy.min_battery):
        return _declined(exchange, held, request, battery)
    codec = _codec_of(request.uplink)
    trainer = device.trainer(request.program, request.program_file)
    if trainer is not None and device.settings.wire.subspace is None:
        trainer.layout.check(request.blocks)
    if trainer is None or not builds_on(held, request):
        # A training program is missing; or the disk was lost or damaged, or another server used
        # this name for its run. What is held now decides what the next round brings.
        return wire.TrainReply(
            held.version, link=device.link, notice=held.damage,
            trainer=device.trainer_name, programs=device.programs,
        )  # fmt: skip
    missed = held.missed(request.version)
    epochs, kept_back = device.owner.epochs(request.epochs)
    device.keep_back(kept_back)
    exchange.meter(request, trainer.software)
    subspace, weights, layout = bring(exchange, trainer, held, request)
    planned, rate = request.blocks, request.learning_rate
    rate = rate or device.settings.learning_rate_at(request.round)
    if subspace is not None and device.settings.wire.subspace is not None:
        planned = device.settings.wire.subspace.blocks(trainer.layout)
        rate *= share_of_step(subspace, device.settings)
    return TrainRound(
        exchange,
        request,
        held,
        trainer,
        codec,
        missed,
        weights,
        layout,
        planned,
        rate,
        epochs,
        subspace,
    )


def measure_received(begun: TrainRound) -> Tested:
    """Measure the model that came, if this device does that; tell of it, if only devices can."""
    exchange, device = begun.exchange, begun.exchange.device
    if device.rows.evaluated is None:
        return Tested()
    with exchange.energy.window("evaluate", samples=len(device.rows.evaluated)) as window:
        device.rows.check_model(begun.trainer, begun.weights)
        received = begun.trainer.measure(begun.weights, device.rows.evaluated, device.rows.kind)
        window.correct = received.right
    return tested_on(begun, received)


def tested_on(begun: TrainRound, received: Measured) -> Tested:
    """Return what to tell of what was measured on the model that came: nothing, as a rule."""
    rows = begun.exchange.device.rows
    if rows.evaluated is None or not rows.measures_for_all:
        return Tested()
    return Tested(received, len(rows.evaluated))


def measure_trained(begun: TrainRound, trained: Trained) -> Tested:
    """Measure a device's own model, of which nobody else has the private blocks, if it has such."""
    exchange, device = begun.exchange, begun.exchange.device
    if device.rows.held_out is None:
        return begun.tested
    rows = len(device.rows.held_out)
    moved = add(begun.weights, trained.update)
    with exchange.energy.window("evaluate", samples=rows) as window:
        measured = begun.trainer.measure(
            moved | trained.private, device.rows.held_out, device.rows.kind
        )
        window.correct = measured.right
    # Sums over fewer rows would tell single ones.
    return Tested(measured, rows) if rows >= device.rows.smallest_batch else Tested()


def _declined(
    exchange: Exchange, held: Held, request: wire.TrainRequest, battery: BatteryLevel
) -> wire.TrainReply:
    """Say that the battery is too low: the model stays as it is, only the radio has worked."""
    device = exchange.device
    exchange.meter(request)
    told = exchange.close(0, held.damage)
    return wire.TrainReply(
        held.version, records=told.records, head=told.head, link=device.link, battery=battery,
        notice=told.notice, trainer=device.trainer_name, programs=device.programs,
    )  # fmt: skip


@lru_cache(maxsize=16)
def _codec_of(text: str) -> Codec:
    """Return the codec that a request names.

    Raises:
        FrameError: It names none that is known here.
    """
    try:
        return parse_codec(text)
    except UsageError as error:
        raise FrameError(f"the server wants an update by no known codec: {error}") from error


def rounding_seed(seed: tuple[int, ...]) -> int:
    """Return this client's own seed of this round: two bytes, to keep the frame short.

    It only has to differ between the clients of a round, so that their rounding errors cancel. It
    travels in the frame, and so is of nothing secret.
    """
    return int(np.random.SeedSequence(seed).generate_state(2)[1]) & 0xFFFF
