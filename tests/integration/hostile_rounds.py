"""Real rounds in which most clients throw mutations at the server, beside the same without them."""

from dataclasses import replace

import numpy as np
from energy_records import RECORD
from flwr.app import Error, Message
from mutations import reply_like

from frugalfl import wire
from frugalfl.codec import encode_frame, parse_codec
from frugalfl.energy import Head
from frugalfl.settings import Settings
from frugalfl_client.app import app as client_app
from frugalfl_server.rounds.flower_strategies import strategy_of

from .rounds import Rounds, digits

GOOD = 3


def template(request, layout, records, seed, codec="raw"):
    """Return an honest reply to a request, with a small random update."""
    rng = np.random.default_rng(seed)
    update = {
        name: rng.normal(0, 1e-3, shape).astype(np.float32)
        for block in layout.blocks
        for name, shape in zip(block.tensors, block.shapes, strict=True)
    }
    frame, _ = encode_frame(
        parse_codec(codec), layout, update, base=request.version, version=request.version
    )
    return wire.TrainReply(
        request.version,
        frame,
        30,
        1.0,
        records(request),
        Head(1, bytes(32)),
        accuracy=0.5,
        scored=9,
    )


class Throwing:
    """A client app of which all but the first clients throw mutations.

    Attributes:
        layout: Of what travels.
    """

    def __init__(self, records, seed, change=reply_like, codec="raw"):
        self.records, self.change, self.codec = records, change, codec
        self.rng = np.random.default_rng(seed)
        self.thrown = 0

    def __call__(self, message, context):
        if context.node_config["partition-id"] < GOOD:
            return client_app(message, context)
        reply = template(
            wire.unpack_request(message), self.layout, self.records, self.thrown, self.codec
        )
        content = wire.pack_reply(reply)
        self.change(content, self.rng)
        self.thrown += 1
        return Message(content, reply_to=message)


def silent(message, context):
    """The same clients, with nothing to say."""
    if context.node_config["partition-id"] < GOOD:
        return client_app(message, context)
    return Message(Error(3, "gone"), reply_to=message)


def throw(folder, throwers, rounds, seed, change=reply_like, codec="raw", **settings):
    """Do rounds with mutations and without; return both."""
    chosen = Settings.of(
        clients=GOOD + throwers, clients_per_round=GOOD + throwers, local_epochs=1, rounds=rounds,
        set_aside="never", **settings,
    )  # fmt: skip

    def records(request):
        return (replace(RECORD, run=request.run, round=request.round),)

    with digits():
        app = Throwing(records, seed, change, codec)
        hostile, alone = (
            Rounds(chosen, folder / name, client=client, inner=strategy_of(chosen))
            for name, client in (("hostile", app), ("alone", silent))
        )
        app.layout = hostile.downlink.layout
        for _ in range(rounds):
            hostile.next()
            alone.next()
            assert all(np.isfinite(tensor).all() for tensor in hostile.model.values())
    return hostile, alone, app
