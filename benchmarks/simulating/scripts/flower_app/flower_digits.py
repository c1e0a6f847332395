"""Flower's FedAvg on the workload; the environment names its file, the rounds and the answer's."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from measured import Rounds, Workload
from nets import Trainer, mlp, tensors_of

client = ClientApp()
server = ServerApp()


class Clocked(FedAvg):
    """FedAvg, which notes when a round ended."""

    rounds: Rounds

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Take the mean."""
        found = super().aggregate_train(server_round, replies)
        self.rounds.ended()
        return found


@lru_cache(maxsize=1)
def held() -> tuple[Trainer, list[str], list[tuple[torch.Tensor, torch.Tensor]]]:
    """Return what a process of clients makes once: net, its names and everybody's rows."""
    torch.set_num_threads(1)
    workload = Workload(Path(os.environ["DIGITS_DATA"]))
    net = mlp(workload)
    return Trainer(net), [name for name, _ in net.named_parameters()], tensors_of(workload)


@client.train()
def train(message: Message, context: Context) -> Message:
    """Train one local epoch."""
    trainer, names, data = held()
    x, y = data[int(context.node_config["partition-id"])]
    first = message.content["arrays"].to_torch_state_dict()
    trained = trainer.train([first[name] for name in names], x, y)
    arrays = ArrayRecord(dict(zip(names, (p.detach() for p in trained), strict=True)))
    metrics = MetricRecord({"num-examples": len(y)})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Run the rounds."""
    workload = Workload(Path(os.environ["DIGITS_DATA"]))
    strategy = Clocked(
        fraction_train=workload.cohort / workload.clients, fraction_evaluate=0.0,
        min_train_nodes=workload.cohort, min_available_nodes=workload.clients,
    )  # fmt: skip
    strategy.rounds = Rounds(workload)
    first = {name: torch.from_numpy(value) for name, value in workload.first.items()}
    result = strategy.start(
        grid, ArrayRecord(first), num_rounds=int(os.environ["DIGITS_ROUNDS"]),
        train_config=ConfigRecord({}),
    )  # fmt: skip
    accuracy = workload.accuracy(result.arrays.to_torch_state_dict())
    found = strategy.rounds.figures(version("flwr"), accuracy)
    Path(os.environ["DIGITS_ANSWER"]).write_text(json.dumps(found), encoding="utf-8")
