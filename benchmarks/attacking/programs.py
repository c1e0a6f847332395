"""Altered training programs: each carries rows out of a client that does not check, and is refused.

The client is the real one, with a disk and rows of its own; what a server would send comes
as one message. First the same program runs with the check taken out, and rows of that client have
to be in its update: what copies nothing is no attack.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
from flwr.app import Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from attacking.outcome import Outcome
from attacking.row_copies import BATCH, COPIES, Copy, honest_program, program_of
from attacking.row_task import task
from frugalfl import wire
from frugalfl.blocks import Parameters
from frugalfl.program import Program
from frugalfl.program_file import digest_of, pack
from frugalfl.settings import Settings
from frugalfl.task import Examples
from frugalfl_client.app import app
from frugalfl_client.training.litert import LiteRTTrainer
from frugalfl_server.rounds.downlink import Downlink

_VERSION = 1


def attacks(folder: Path, quick: bool) -> Iterator[Outcome]:
    """Try every trick, and batches of one row."""
    for number, (name, one) in enumerate(COPIES.items()):
        # One each: a device that has run a program refuses others in its place, whatever they do.
        client = Client(folder / f"client-{number}")
        program = program_of(one)
        came_out = stolen(program, one, client.rows)
        line = client.refusal_of(program)
        yield Outcome(
            f"program: {name} ({came_out} if unchecked)",
            refused=bool(line), line=line, run_went_on=not client.refusal_of(honest_program()),
        )  # fmt: skip
    single = Client(folder / "client").refusal_of(honest_program(batch=1), batch_size=1)
    yield Outcome("program: one row a batch", bool(single), single)


def stolen(program: Program, how: Copy, rows: Examples) -> int:
    """Return how many of a device's rows are in the update, if nothing checks the program."""
    settings = Settings.of(local_epochs=1, batch_size=BATCH, prune=0.0)
    start = model_of(program)
    with patch("frugalfl_client.training.litert.check_flow"):
        trainer = LiteRTTrainer(program, settings)
    rows = Examples(rows.x[: how.rows], rows.y[: how.rows])
    trained = trainer.train(start, (0,), rows, 0.1, (0, 0, 1), subspace=how.subspace)
    update = trained.update["leak.weight"]
    found = update.reshape(-1, rows.x[0].size) / np.float32(how.scale)
    own = rows.x.reshape(len(rows), -1)
    return sum(bool(np.any(np.all(np.abs(own - one) < 1e-3, axis=1))) for one in found)


def model_of(program: Program) -> Parameters:
    """Return the model that such a program is sent with: a one-hot matrix, then zeros."""
    shape = program.parameters[0].shape
    start = np.zeros(shape, np.float32)
    if shape[0] == BATCH:
        start[:, :BATCH] = np.eye(BATCH)
    return {"leak.weight": start}


class Client:
    """A client, and what a server says to it; ``config`` is added to its node config."""

    def __init__(self, folder: Path, **config: int) -> None:
        TaskIdentity.run_id = TaskIdentity.task_id = TaskIdentity.node_id = 1
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._round, self._config = folder, 0, config
        self.rows = task.rows_of(0, 2)

    def refusal_of(self, program: Program, batch_size: int = BATCH) -> str:
        """Send a program; return what the client says against it, empty if it trained."""
        self._round += 1
        settings = Settings.of(
            task="attacking.row_task:task", local_epochs=1, batch_size=batch_size
        )
        downlink = Downlink(model_of(program), settings.wire.downlink, version=_VERSION)
        file = pack(program)
        request = wire.TrainRequest(
            f"run-{self._round}", self._round, -1, _VERSION, downlink.layout.everything,
            downlink.full(), "raw", program=digest_of(file), program_file=file,
        )  # fmt: skip
        context = Context(
            run_id=1, node_id=1, state=RecordDict(), run_config=settings.as_config(),
            node_config={
                "partition-id": 0, "num-partitions": 2, "state-dir": str(self._folder),
                "trainer": wire.LITERT, **self._config,
            },
        )  # fmt: skip
        message = Message(wire.pack_request(request), dst_node_id=1, message_type="train")
        message.metadata.__dict__["_message_id"] = "1"
        reply = app(message, context)
        if reply.has_error():
            return str(reply.error.reason)
        assert wire.unpack_reply(reply).frame
        return ""
