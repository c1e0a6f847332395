"""One round, seen from the device, top to bottom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from frugalfl import wire
from frugalfl.blocks import Layout, Parameters, within_bounds
from frugalfl.codec import Codec, encode_frame, parse_codec
from frugalfl.energy.level import BatteryLevel
from frugalfl.errors import DivergedError, FrameError, UsageError
from frugalfl.subspace import add
from frugalfl_client.bring_up import bring_up, builds_on
from frugalfl_client.calibrate import give_ranges
from frugalfl_client.counters import share
from frugalfl_client.exchange import Exchange
from frugalfl_client.facts import tell
from frugalfl_client.held import Held
from frugalfl_client.training.step_size import share_of_step
from frugalfl_client.training.trainer import Measured, Trained, Trainer
from frugalfl_client.try_program import cheaper

app = ClientApp()

#: How often a device tries shorter steps if its training breaks down in a subspace.
_SHORTENED = 2


def _action(message_type: str) -> str:
    """Return what Flower's decorators call a message type: the part after its category."""
    return message_type.partition(".")[2]


@app.train()
def train(message: Message, context: Context) -> Message:
    """Apply the frames, train the planned blocks, encode the update, write the ledger, answer."""
    return _exchange(message, context, lambda exchange: wire.pack_reply(_train(exchange)))


@app.train(_action(wire.TREES))
def trees(message: Message, context: Context) -> Message:
    """Grow trees, or give the histograms that one is grown from."""
    from frugalfl_client.trees.rounds import work

    return _exchange(message, context, lambda exchange: wire.pack_trees_reply(work(exchange)))


@app.query(_action(wire.COUNTERS))
def counters(message: Message, context: Context) -> Message:
    """Give the tables of this device's counters, or take the sums of everybody's."""
    return _exchange(message, context, lambda exchange: wire.pack_counters_reply(share(exchange)))


@app.query(_action(wire.FACTS))
def facts(message: Message, context: Context) -> Message:
    """Say what this device's rows look like, to a server that has none of its own."""
    return _exchange(message, context, lambda exchange: wire.pack_facts_reply(tell(exchange)))


@app.query(_action(wire.CALIBRATE))
def calibrate(message: Message, context: Context) -> Message:
    """Apply the frames, run this device's rows, answer with the ranges of the activations."""
    return _exchange(
        message, context, lambda exchange: wire.pack_calibrate_reply(give_ranges(exchange))
    )


def _exchange(
    message: Message, context: Context, answer: Callable[[Exchange], RecordDict]
) -> Message:
    """Let a function answer a message, whatever comes of that."""
    with Exchange(message, context) as exchange:
        exchange.answer(answer(exchange))
    return exchange.reply


@dataclass(frozen=True)
class _Tested:
    """What was measured on rows that are not trained on, and how many there were."""

    measured: Measured = field(default_factory=lambda: Measured(None))
    rows: int = 0


def _train(exchange: Exchange) -> wire.TrainReply:
    """See whether this device can, and may, do what is asked; if so, do it."""
    request = exchange.open(wire.unpack_request)
    device = exchange.device
    device.prepare(request.run)
    device.rows.fit(request.form)
    device.rows.check_batches()
    held = exchange.load(request)
    battery = device.battery()
    if battery is not None and battery.below(device.settings.energy.min_battery):
        return _declined(exchange, held, request, battery)
    codec = _codec_of(request)
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
    return _trained(exchange, request, held, trainer, codec)


def _trained(
    exchange: Exchange, request: wire.TrainRequest, held: Held, trainer: Trainer, codec: Codec
) -> wire.TrainReply:
    """Bring the model up, train it, and answer with the encoded update."""
    device, missed = exchange.device, held.missed(request.version)
    epochs, kept_back = device.owner.epochs(request.epochs)
    device.keep_back(kept_back)
    energy = exchange.meter(request, trainer.software)
    bring_up(exchange, trainer, held, request)
    subspace = held.subspace(device.settings)
    if subspace is not None:
        subspace = subspace.keeping_signs()  # for the weights, for training, and for the update
    weights = held.weights_in(subspace)
    planned, rate = request.blocks, request.learning_rate
    rate = rate or device.settings.learning_rate_at(request.round)
    if subspace is not None and device.settings.wire.subspace is not None:
        planned = device.settings.wire.subspace.blocks(trainer.layout)
        rate *= share_of_step(subspace, device.settings)
    trainer = cheaper(exchange, request, trainer, weights, planned, rate, subspace)
    tested = _measure_received(exchange, trainer, weights)
    with energy.window("train", samples=len(device.rows.examples)):
        device.rows.check_model(trainer, weights | held.private)

        def train_at(rate: float) -> Trained:
            return trainer.train(
                weights, planned, device.rows.examples, rate, device.drawn(request.round),
                held.private, request.proximal_mu, epochs, device.rows.fewest, subspace,
            )  # fmt: skip

        trained = train_at(rate) if subspace is None else _train_with_care(train_at, rate)
        held.private = trained.private
    if device.rows.held_out is not None:
        tested = _measure_trained(exchange, trainer, weights | held.private, trained)
    with energy.window("encode"):
        update = trained.update if subspace is None else subspace.reduce(trained.update)
        frame, held.residual = encode_frame(
            codec, Layout.of(held.model), update, base=request.version,
            version=request.version, residual=held.residual, missed=missed,
            seed=_rounding_seed((device.settings.run.seed, device.number, request.round)),
        )  # fmt: skip
    records, head, notice = exchange.close(len(frame), held.damage)
    exchange.save(request, held)
    return wire.TrainReply(
        held.version, frame, len(device.rows.examples), trained.loss, records, head, device.link,
        notice, tested.measured.share_of(tested.rows), tested.rows, device.battery(),
        device.trainer_name, tally=tested.measured.tally, tries=device.tries,
    )  # fmt: skip


def _train_with_care(train_at: Callable[[float], Trained], rate: float) -> Trained:
    """Train in a subspace: if that breaks down, anew with shorter steps.

    Many weights follow one coordinate, so that steps which are right in one subspace may be too
    long in the next.

    Raises:
        DivergedError: It breaks down all the same.
    """
    for _ in range(_SHORTENED):
        try:
            return _sound(train_at(rate))
        except DivergedError:
            rate /= 4
    return _sound(train_at(rate))


def _sound(trained: Trained) -> Trained:
    """Return what was trained, if a model can hold it: the last loss is from before the last step.

    Raises:
        DivergedError: It cannot.
    """
    if not within_bounds(trained.update.values()) or abs(trained.loss) > wire.MOST_LOSS:
        raise DivergedError(
            f"training leads beyond what a model can hold, with a loss of {trained.loss:.3g}; "
            "lower learning-rate, or check the data"
        )
    return trained


def _measure_received(exchange: Exchange, trainer: Trainer, weights: Parameters) -> _Tested:
    """Measure the model that came, if this device does that; tell of it, if only devices can."""
    device = exchange.device
    if device.rows.evaluated is None:
        return _Tested()
    with exchange.energy.window("evaluate", samples=len(device.rows.evaluated)) as window:
        device.rows.check_model(trainer, weights)
        received = trainer.measure(weights, device.rows.evaluated, device.rows.kind)
        window.correct = received.right
    return (
        _Tested(received, len(device.rows.evaluated)) if device.rows.measures_for_all else _Tested()
    )


def _measure_trained(
    exchange: Exchange, trainer: Trainer, weights: Parameters, trained: Trained
) -> _Tested:
    """Measure this device's own model, of which nobody else has the private blocks."""
    device = exchange.device
    assert device.rows.held_out is not None
    rows = len(device.rows.held_out)
    moved = add(weights, trained.update)
    with exchange.energy.window("evaluate", samples=rows) as window:
        measured = trainer.measure(moved | trained.private, device.rows.held_out, device.rows.kind)
        window.correct = measured.right
    # Sums over fewer rows would tell single ones.
    return _Tested(measured, rows) if rows >= device.rows.smallest_batch else _Tested()


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


def _codec_of(request: wire.TrainRequest) -> Codec:
    """Return the codec that a request names.

    Raises:
        FrameError: It names none that is known here.
    """
    try:
        return parse_codec(request.uplink)
    except UsageError as error:
        raise FrameError(f"the server wants an update by no known codec: {error}") from error


def _rounding_seed(seed: tuple[int, ...]) -> int:
    """Return this client's own seed of this round: two bytes, to keep the frame short.

    It only has to differ between the clients of a round, so that their rounding errors cancel. It
    travels in the frame, and so is of nothing secret.
    """
    return int(np.random.SeedSequence(seed).generate_state(2)[1]) & 0xFFFF
