"""Flower's FedAvg on a model's arrays; the bytes are those of training, the numbers are not."""

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

client = ClientApp()
server = ServerApp()


@client.train()
def train(message: Message, context: Context) -> Message:
    """Move every value a little, as training does."""
    random = np.random.default_rng()
    moved = [
        array + random.normal(0, 0.01, array.shape).astype(np.float32)
        for array in message.content.array_records["arrays"].to_numpy_ndarrays()
    ]
    metrics = MetricRecord({"num-examples": 100, "train-loss": 1.0})
    return Message(RecordDict({"arrays": ArrayRecord(moved), "metrics": metrics}), reply_to=message)


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Train; no evaluation on the clients, for which FedAvg would send the model once more."""
    config = context.run_config
    random = np.random.default_rng(0)
    shapes = [tuple(map(int, shape.split(","))) for shape in str(config["shapes"]).split()]
    arrays = [random.normal(0, 0.1, shape).astype(np.float32) for shape in shapes]
    strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=1, min_available_nodes=1)
    strategy.start(grid, ArrayRecord(arrays), num_rounds=int(config["rounds"]))
