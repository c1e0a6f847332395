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

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Apply the frames, train the planned blocks, encode the update, write the ledger, answer."""
    device = device_of(context)
    request = wire.unpack_request(message)
    held = device.store.load(request.run)
    if held.version != request.base and request.base >= 0:
        # The disk was lost or damaged, or another server used this name for its run: ask for a
        # full model in the next round.
        return _answer(wire.TrainReply(held.version, link=device.link, notice=held.damage), message)
    try:
        device.trainer.layout.check(request.blocks)
    except FrameError as error:
        return _refuse(error, message)
    missed = held.missed(request.version)
    try:
        with device.meter.window("download") as download:
            held.apply(request.frames, device.trainer.layout)
        if held.version != request.version:
            raise FrameError(
                f"the frames lead to version {held.version}, the round is to train "
                f"version {request.version}"
            )
    except FrameError as error:
        # A difference to what is not held would be refused again and again: without a model, the
        # next round brings a whole one.
        kept = device.store.load(request.run)
        device.store.save(request.run, Held(residual=kept.residual, private=kept.private))
        return _refuse(error, message)

    with device.meter.window("train") as training:
        seed = (device.settings.seed, device.number, request.round)
        rate = device.settings.learning_rate_at(request.round)
        trained = device.trainer.train(
            held.model, request.blocks, device.examples, rate, seed,
            held.private, device.held_out, request.proximal_mu,
        )  # fmt: skip
        held.private = trained.private
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
    )
    return _answer(reply, message)


def _refuse(error: FrameError, message: Message) -> Message:
    """Say in one line why the round goes on without this client."""
    return Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, str(error)), reply_to=message)


def _rounding_seed(seed: tuple[int, ...]) -> int:
    """Return this client's own seed of this round: two bytes, to keep the frame short.

    It only has to differ between the clients of a round, so that their rounding errors cancel.
    """
    return int(np.random.SeedSequence(seed).generate_state(2)[1]) & 0xFFFF


def _records(
    device: Device, request: wire.TrainRequest, windows: tuple[Window, ...], uplink_bytes: int
) -> tuple[EnergyRecord, ...]:
    """Make the round's energy records; bytes and rows stand at the phase that they belong to."""
    return tuple(
        EnergyRecord(
            run=request.run,
            client=str(device.number),
            round=request.round,
            phase=window.phase,
            start_unix_s=window.start_unix_s,
            wall_s=window.wall_s,
            cpu_s=window.cpu_s,
            energy_j=reading.energy_j,
            idle_j=reading.idle_j,
            measured=reading.measured,
            method=reading.method,
            source=reading.source,
            uncertainty_rel=reading.uncertainty_rel,
            samples=len(device.examples) if window.phase == "train" else 0,
            uplink_bytes=uplink_bytes if window.phase == "encode" else 0,
            downlink_bytes=len(request.frames) if window.phase == "download" else 0,
        )
        for window in windows
        for reading in window.readings[:1]
    )


def _answer(reply: wire.TrainReply, message: Message) -> Message:
    return Message(wire.pack_reply(reply), reply_to=message)
