"""Clients that lie: what `benchmarks/hostile.py` and the tests let some clients of a round send."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection
from functools import partial

import numpy as np
from flwr.app import Context, Message

from frugalfl.blocks import Layout, Parameters
from frugalfl.codec import Limits, decode_frame, encode_frame, parse_codec
from frugalfl_client.app import app as client_app

#: From a round's number and an honest update to what is sent instead.
Attack = Callable[[int, Parameters], Parameters]


def scaled(by: float, number: int, update: Parameters) -> Parameters:
    """Multiply the update: by a negative number, and the model unlearns."""
    return {name: step * np.float32(by) for name, step in update.items()}


def noise(times: float, number: int, update: Parameters) -> Parameters:
    """Send noise, so many times as long as the update."""
    rng = np.random.default_rng(number)
    drawn = {name: rng.normal(size=step.shape) for name, step in update.items()}
    length, own = _length(drawn), _length(update)
    return {name: (step * (times * own / length)).astype("f4") for name, step in drawn.items()}


def nan(number: int, update: Parameters) -> Parameters:
    """Send no numbers at all, with a right checksum."""
    return {name: np.full_like(step, np.nan) for name, step in update.items()}


#: By name.
ATTACKS: dict[str, Attack | None] = {
    "none": None,
    "sign flipped": partial(scaled, -1),
    "sign flipped, x10": partial(scaled, -10),
    "x100": partial(scaled, 100),
    "noise, x10": partial(noise, 10),
    "NaN": nan,
}


def attacking(attack: Attack | None, bad: Collection[int]) -> Callable[[Message, Context], Message]:
    """Return a client app in which the clients with these numbers train, then lie about it."""

    def app(message: Message, context: Context) -> Message:
        reply = client_app(message, context)
        if attack is None or reply.has_error() or context.node_config["partition-id"] not in bad:
            return reply
        number = int(message.content["config"]["round"])  # type: ignore[arg-type]
        array = reply.content["arrays"]["frames"]  # type: ignore[index]
        array.data = told(array.data, partial(attack, number))
        return reply

    return app


def told(frame: bytes, change: Callable[[Parameters], Parameters]) -> bytes:
    """Return a frame of all blocks with another update in it, in float32."""
    honest = decode_frame(frame, Limits())
    update = {
        f"{block:04}.{place}": tensor
        for block, tensors in honest.blocks.items()
        for place, tensor in enumerate(tensors)
    }
    zeros = {name: np.zeros_like(tensor) for name, tensor in update.items()}
    layout = Layout.of(update)
    assert tuple(honest.blocks) == layout.everything, "an update of some blocks only"
    blank, _ = encode_frame(
        parse_codec("raw"), layout, zeros, base=honest.base, version=honest.version
    )
    # Behind the encoder's back, which refuses NaN: only the server's own checks count.
    data = b"".join(tensor.astype("<f4").tobytes() for tensor in change(update).values())
    body = blank[: -4 - len(data)] + data
    return body + zlib.crc32(body).to_bytes(4, "little")


def _length(update: Parameters) -> float:
    return float(np.sqrt(sum(np.square(t, dtype=np.float64).sum() for t in update.values())))
