"""One round, seen from the device, top to bottom."""

from __future__ import annotations

import numpy as np
from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from frugalfl import wire
from frugalfl.blocks import Layout
from frugalfl.codec import encode_frame, parse_codec
from frugalfl.energy import EnergyRecord, Window
from frugalfl_client.device import Device, device_of

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Apply the frames, train the planned blocks, encode the update, write the ledger, answer."""
    device = device_of(context)
    request = wire.unpack_request(message)
    held = device.store.load(request.run)
    if held.version != request.base and request.base >= 0:
        # The disk was lost, or another run used it: ask for a full model in the next round.
        return _answer(wire.TrainReply(held=held.version), message)

    missed = held.missed(request.version)
    with device.meter.window("download") as download:
        held.apply(request.frames, device.trainer.layout)
    with device.meter.window("train") as training:
        seed = (device.settings.seed, device.number, request.round)
        rate = device.settings.learning_rate_at(request.round)
        trained = device.trainer.train(
            held.model, request.blocks, device.examples, rate, seed, request.proximal_mu
        )
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
    return _answer(
        wire.TrainReply(held.version, frame, len(device.examples), trained.loss, records), message
    )


def _rounding_seed(seed: tuple[int, ...]) -> int:
    """Return this client's own seed of this round: two bytes, to keep the frame short.

    It only has to differ between the clients of a round, so that their rounding errors cancel.
    """
    return int(np.random.SeedSequence(seed).generate_state(2)[1]) & 0xFFFF


def _records(
    device: Device, request: wire.TrainRequest, windows: tuple[Window, ...], uplink_bytes: int
) -> tuple[EnergyRecord, ...]:
    """Make the round's energy records; bytes and rows stand at the phase that they belong to."""
    meter = device.meter
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
            samples=len(device.examples) if window.phase == "train" else 0,
            uplink_bytes=uplink_bytes if window.phase == "encode" else 0,
            downlink_bytes=len(request.frames) if window.phase == "download" else 0,
        )
        for window in windows
    )


def _answer(reply: wire.TrainReply, message: Message) -> Message:
    return Message(wire.pack_reply(reply), reply_to=message)
