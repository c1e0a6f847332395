"""One round, seen from the device, top to bottom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from frugalfl import wire
from frugalfl_client.calibrate import give_ranges
from frugalfl_client.counters import share
from frugalfl_client.exchange import Exchange
from frugalfl_client.facts import tell
from frugalfl_client.train_round import begin, measure_received, measure_trained
from frugalfl_client.try_program import cheaper

app = ClientApp()


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


def _train(exchange: Exchange) -> wire.TrainReply:
    """See whether this device can, and may, do what is asked; if so, train and encode."""
    begun = begin(exchange)  # the model is brought up in it
    if isinstance(begun, wire.TrainReply):
        return begun
    begun = replace(begun, trainer=cheaper(begun))
    begun = replace(begun, tested=measure_received(begun))
    device, energy = exchange.device, exchange.energy
    with energy.window("train", samples=len(device.rows.examples)):
        device.rows.check_model(begun.trainer, begun.weights | begun.held.private)
        trained = begun.train_with_care()
    begun = replace(begun, tested=measure_trained(begun, trained))
    with energy.window("encode"):
        frame = begun.encode(trained)
    return begun.reply(trained, frame)
