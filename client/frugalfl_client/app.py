"""One round, seen from the device, top to bottom."""

from __future__ import annotations

import numpy as np
from flwr.app import Context, Error, Message
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode

from frugalfl import wire
from frugalfl.blocks import Layout
from frugalfl.codec import encode_frame, parse_codec
from frugalfl.energy import EnergyRecord, Window
from frugalfl.errors import FrameError
from frugalfl_client.device import Device, device_of
from frugalfl_client.held import Held
from frugalfl_client.training.trainer import Trainer

app = ClientApp()

_Request = wire.TrainRequest | wire.CalibrateRequest


@app.train()
def train(message: Message, context: Context) -> Message:
    """Apply the frames, train the planned blocks, encode the update, write the ledger, answer."""
    device = device_of(context)
    request = wire.unpack_request(message)
    held = device.store.load(request.run)
    try:
        trainer = device.trainer(request.program, request.program_file)
        if trainer is not None:
            trainer.layout.check(request.blocks)
    except FrameError as error:
        return _refuse(error, message)
    if trainer is None or (held.version != request.base and request.base >= 0):
        # A training program is missing; or the disk was lost or damaged, or another server used
        # this name for its run. What is held now decides what the next round brings.
        return _answer(
            wire.TrainReply(
                held.version, link=device.link, notice=held.damage,
                trainer=device.trainer_name, programs=device.programs,
            ),
            message,
        )  # fmt: skip
    missed = held.missed(request.version)
    try:
        download = _bring_up(device, trainer, held, request)
        with device.meter.window("train") as training:
            seed = (device.settings.seed, device.number, request.round)
            rate = device.settings.learning_rate_at(request.round)
            trained = trainer.train(
                held.model, request.blocks, device.examples, rate, seed,
                held.private, device.held_out, request.proximal_mu,
            )  # fmt: skip
            held.private = trained.private
    except FrameError as error:
        return _refuse(error, message)
    with device.meter.window("encode") as encoding:
        frame, held.residual = encode_frame(
            parse_codec(request.uplink),
            Layout.of(held.model),
            trained.update,
            base=request.version,
            version=request.version,
            residual=held.residual,
            seed=_rounding_seed(seed),
            missed=missed,
        )

    records = _records(device, request, (download, training, encoding), len(frame))
    device.ledger.append(records)
    device.store.save(request.run, held)
    reply = wire.TrainReply(
        held.version,
        frame,
        len(device.examples),
        trained.loss,
        records,
        link=device.link,
        notice=held.damage,
        accuracy=trained.right,
        scored=0 if device.held_out is None else len(device.held_out),
        trainer=device.trainer_name,
    )
    return _answer(reply, message)


@app.query("calibrate")
def calibrate(message: Message, context: Context) -> Message:
    """Apply the frames, run this device's rows, answer with the ranges of the activations."""
    device = device_of(context)
    request = wire.unpack_calibrate_request(message)
    held = device.store.load(request.run)
    ranges, records = np.zeros((0, 2), np.float32), tuple[EnergyRecord, ...]()
    try:
        trainer = device.trainer(request.program, request.program_file)
        if trainer is not None and (held.version == request.base or request.base < 0):
            download = _bring_up(device, trainer, held, request)
            with device.meter.window("calibrate") as running:
                ranges = trainer.calibrate(held.model, device.examples, request.percentile)
            records = _records(device, request, (download, running), ranges.nbytes)
            device.ledger.append(records)
            device.store.save(request.run, held)
    except FrameError as error:
        return _refuse(error, message)
    reply = wire.CalibrateReply(
        held.version, ranges, records, held.damage, device.trainer_name, device.programs
    )
    return Message(wire.pack_calibrate_reply(reply), reply_to=message)


def _bring_up(device: Device, trainer: Trainer, held: Held, request: _Request) -> Window:
    """Apply a request's frames to what is held; return what that took.

    Raises:
        FrameError: The frames cannot be applied, or lead elsewhere. A difference to what is not
            held would be refused again and again, so the device then holds no model any more:
            the next request brings a whole one.
    """
    try:
        with device.meter.window("download") as download:
            held.apply(request.frames, trainer.layout, trainer.limits)
        if held.version != request.version:
            raise FrameError(
                f"the frames lead to version {held.version}, the request is for version "
                f"{request.version}"
            )
    except FrameError:
        kept = device.store.load(request.run)
        device.store.save(request.run, Held(residual=kept.residual, private=kept.private))
        raise
    return download


def _refuse(error: FrameError, message: Message) -> Message:
    """Say in one line why the round goes on without this client."""
    return Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, str(error)), reply_to=message)


def _rounding_seed(seed: tuple[int, ...]) -> int:
    """Return this client's own seed of this round: two bytes, to keep the frame short.

    It only has to differ between the clients of a round, so that their rounding errors cancel.
    """
    return int(np.random.SeedSequence(seed).generate_state(2)[1]) & 0xFFFF


def _records(
    device: Device, request: _Request, windows: tuple[Window, ...], uplink_bytes: int
) -> tuple[EnergyRecord, ...]:
    """Make the round's energy records; bytes and rows stand at the phase that they belong to."""
    meter = device.meter
    received = len(request.frames) + len(request.program_file)
    return tuple(
        EnergyRecord(
            run=request.run,
            client=str(device.number),
            round=request.round,
            phase=window.phase,
            start_unix_s=window.start_unix_s,
            wall_s=window.wall_s,
            cpu_s=window.cpu_s,
            energy_j=window.energy_j,
            idle_j=window.idle_j,
            measured=meter.measured,
            method=meter.method,
            source=meter.source,
            uncertainty_rel=meter.uncertainty_rel,
            samples=len(device.examples) if window.phase in ("train", "calibrate") else 0,
            uplink_bytes=uplink_bytes if window.phase in ("encode", "calibrate") else 0,
            downlink_bytes=received if window.phase == "download" else 0,
        )
        for window in windows
    )


def _answer(reply: wire.TrainReply, message: Message) -> Message:
    return Message(wire.pack_reply(reply), reply_to=message)
