"""Mutated requests, thrown at a real client on a real disk."""

import copy

import numpy as np
from flwr.app import Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity
from mutations import request_like

from frugalfl import wire
from frugalfl.modules import read_parameters
from frugalfl.settings import Settings
from frugalfl.task import load_task
from frugalfl_client.app import app as client_app
from frugalfl_server.rounds.downlink import Downlink

from .rounds import digits


def throw_requests(folder, count, seed):
    """Throw them; return to how many the client said no, in one line, and stayed sound."""
    TaskIdentity.run_id = TaskIdentity.task_id = TaskIdentity.node_id = 1
    settings = Settings.of(clients=40, local_epochs=1)
    rng = np.random.default_rng(seed)
    refused = 0
    with digits():
        model = read_parameters(load_task("task:task").new_model())
        downlink = Downlink(model, settings.wire.downlink, version=4)
        blocks = downlink.layout.everything
        honest = wire.TrainRequest("run", 3, -1, 4, blocks, downlink.full(), "raw")
        context = Context(
            run_id=1, node_id=1, state=RecordDict(), run_config=settings.as_config(),
            node_config={"partition-id": 0, "num-partitions": 40, "state-dir": str(folder)},
        )  # fmt: skip
        sound = answered(wire.pack_request(honest), context)
        for number in range(count):
            content = copy.deepcopy(wire.pack_request(honest))
            request_like(content, rng)
            reply = answered(content, context)
            refused += reply.has_error() and bool(reply.error.reason)
            if number % 100 == 99:
                again = answered(wire.pack_request(honest), context)
                assert wire.unpack_reply(again).frame == wire.unpack_reply(sound).frame
    return refused


def answered(content, context):
    message = Message(content, dst_node_id=1, message_type="train")
    message.metadata.__dict__["_message_id"] = "1"
    return client_app(message, context)
