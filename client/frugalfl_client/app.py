"""One round, seen from the device, top to bottom."""

from __future__ import annotations

import numpy as np
from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from frugalfl import wire
from frugalfl.blocks import Layout
from frugalfl.codec import Codec, encode_frame, parse_codec
from frugalfl.energy.level import BatteryLevel
from frugalfl.errors import FrameError, TaskError, UsageError
from frugalfl_client.answers import answer, answered, kept
from frugalfl_client.counters import share
from frugalfl_client.device import Device, device_of
from frugalfl_client.energy import RoundEnergy
from frugalfl_client.facts import tell
from frugalfl_client.held import Held
from frugalfl_client.training.trainer import Measured, Trainer

app = ClientApp()

_Request = wire.TrainRequest | wire.CalibrateRequest


@app.train()
def train(message: Message, context: Context) -> Message:
    """Apply the frames, train the planned blocks, encode the update, write the ledger, answer."""
    return answered(_train, message, context)


def _train(message: Message, context: Context) -> Message:
    device = device_of(context)
    request = wire.unpack_request(message)
    device.check_allowed(request.run)
    device.prepare(request.run)
    device.fit(request.form)
    device.check_batches()
    held = _load(device, request)
    battery = device.battery()
    if battery is not None and battery.below(device.settings.energy.min_battery):
        return answer(_declined(device, held, request, battery), message)
    codec = _codec_of(request)
    trainer = device.trainer(request.program, request.program_file)
    if trainer is not None:
        trainer.layout.check(request.blocks)
    if trainer is None or (held.version != request.base and request.base >= 0):
        # A training program is missing; or the disk was lost or damaged, or another server used
        # this name for its run. What is held now decides what the next round brings.
        return answer(
            wire.TrainReply(
                held.version, link=device.link, notice=held.damage,
                trainer=device.trainer_name, programs=device.programs,
            ),
            message,
        )  # fmt: skip
    missed = held.missed(request.version)
    epochs, kept_back = device.owner.epochs(request.epochs)
    device.keep_back(kept_back)
    energy = RoundEnergy(device, request, trainer.software)
    energy.downloaded(request)
    _bring_up(device, trainer, held, request, energy)
    measured, scored = Measured(None), 0
    if device.evaluated is not None:
        with energy.window("evaluate", samples=len(device.evaluated)) as window:
            device.check_rows(trainer, held.model | held.private)
            received = trainer.measure(held.model, device.evaluated, device.kind)
            window.correct = received.right
        if device.measures_for_all:
            measured, scored = received, len(device.evaluated)
    with energy.window("train", samples=len(device.examples)):
        rate = request.learning_rate or device.settings.learning_rate_at(request.round)
        device.check_rows(trainer, held.model | held.private)
        trained = trainer.train(
            held.model, request.blocks, device.examples, rate, device.drawn(request.round),
            held.private, request.proximal_mu, epochs, device.fewest_rows,
        )  # fmt: skip
        held.private = trained.private
    if device.held_out is not None:
        scored = len(device.held_out)
        moved = {name: held.model[name] + step for name, step in trained.update.items()}
        with energy.window("evaluate", samples=scored) as window:
            whole = held.model | moved | held.private
            measured = trainer.measure(whole, device.held_out, device.kind)
            window.correct = measured.right
        if scored < device.smallest_batch:  # sums over so few rows would tell single ones
            measured, scored = Measured(None), 0
    with energy.window("encode"):
        frame, held.residual = encode_frame(
            codec,
            Layout.of(held.model),
            trained.update,
            base=request.version,
            version=request.version,
            residual=held.residual,
            seed=_rounding_seed((device.settings.run.seed, device.number, request.round)),
            missed=missed,
        )

    energy.uploading(len(frame))
    records, head, unkept = kept(device, energy.take())
    _save(device, request, held)
    reply = wire.TrainReply(
        held.version,
        frame,
        len(device.examples),
        trained.loss,
        records,
        head,
        link=device.link,
        notice="; ".join(filter(None, (held.damage, device.take_notice(), unkept))),
        accuracy=measured.share_of(scored),
        scored=scored,
        tally=measured.tally,
        trainer=device.trainer_name,
        battery=device.battery(),
    )
    return answer(reply, message)


@app.train("trees")
def trees(message: Message, context: Context) -> Message:
    """Grow trees, or give the histograms that one is grown from."""
    from frugalfl_client.trees.rounds import work

    return answered(work, message, context)


@app.query("counters")
def counters(message: Message, context: Context) -> Message:
    """Give the tables of this device's counters, or take the sums of everybody's."""
    return answered(share, message, context)


@app.query("facts")
def facts(message: Message, context: Context) -> Message:
    """Say what this device's rows look like, to a server that has none of its own."""
    return answered(tell, message, context)


@app.query("calibrate")
def calibrate(message: Message, context: Context) -> Message:
    """Apply the frames, run this device's rows, answer with the ranges of the activations."""
    return answered(_calibrate, message, context)


def _calibrate(message: Message, context: Context) -> Message:
    device = device_of(context)
    request = wire.unpack_calibrate_request(message)
    device.check_allowed(request.run, "calibration")
    device.prepare(request.run)
    device.check_batches()
    held = _load(device, request)
    ranges, measured, scored = np.zeros((0, 2), np.float32), Measured(None), 0
    trainer = device.trainer(request.program, request.program_file)
    energy = RoundEnergy(device, request, "" if trainer is None else trainer.software)
    energy.downloaded(request)
    if trainer is not None and (held.version == request.base or request.base < 0):
        _bring_up(device, trainer, held, request, energy)
        with energy.window("calibrate", samples=len(device.examples)):
            ranges = trainer.calibrate(held.model, device.examples, request.percentile)
        _save(device, request, held)
        if device.measures_for_all and device.evaluated is not None:
            scored = len(device.evaluated)
            with energy.window("evaluate", samples=scored) as window:
                measured = trainer.measure(held.model, device.evaluated, device.kind)
                window.correct = measured.right
    energy.uploading(ranges.nbytes)
    records, head, unkept = kept(device, energy.take())
    notice = "; ".join(filter(None, (held.damage, device.take_notice(), unkept)))
    reply = wire.CalibrateReply(
        held.version, ranges, records, head, notice, device.trainer_name, device.programs,
        measured.share_of(scored), scored, measured.tally,
    )  # fmt: skip
    return Message(wire.pack_calibrate_reply(reply), reply_to=message)


def _declined(
    device: Device, held: Held, request: wire.TrainRequest, battery: BatteryLevel
) -> wire.TrainReply:
    """Say that the battery is too low: the model stays as it is, only the radio has worked."""
    energy = RoundEnergy(device, request)
    energy.downloaded(request)
    energy.uploading(0)
    records, head, unkept = kept(device, energy.take())
    return wire.TrainReply(
        held.version, records=records, head=head, link=device.link, battery=battery,
        notice="; ".join(filter(None, (held.damage, device.take_notice(), unkept))),
        trainer=device.trainer_name, programs=device.programs,
    )  # fmt: skip


def _bring_up(
    device: Device, trainer: Trainer, held: Held, request: _Request, energy: RoundEnergy
) -> None:
    """Apply a request's frames to what is held.

    Raises:
        FrameError: The frames cannot be applied, or lead elsewhere. A difference to what is not
            held would be refused again and again, so the device then holds no model any more:
            the next request brings a whole one.
    """
    try:
        with energy.window("decode"):
            held.apply(request.frames, trainer.layout, trainer.limits)
        if held.version != request.version:
            raise FrameError(
                f"the frames lead to version {held.version}, the request is for version "
                f"{request.version}"
            )
    except (FrameError, TaskError) as error:
        kept = _load(device, request)
        kept.model, kept.version = {}, -1
        _save(device, request, kept)
        raise FrameError(str(error)) from error


def _load(device: Device, request: _Request) -> Held:
    """Return what is held, from before what was done in vain."""
    return device.store.load(request.run, request.resumed, request.round if request.again else -1)


def _save(device: Device, request: _Request, held: Held) -> None:
    """Keep what a request left, and which request it was: a resumed run may ask for it again."""
    held.round, held.attempt = request.round, len(request.resumed)
    device.store.save(request.run, held)


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
