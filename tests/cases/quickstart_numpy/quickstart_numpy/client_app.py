"""A ClientApp that trains, and evaluates, as little as can be."""

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Add noise to the model."""
    arrays = message.content["arrays"].to_numpy_ndarrays()
    trained = [array + np.random.rand(*array.shape) for array in arrays]
    metrics = MetricRecord({"random_metric": float(np.random.rand()), "num-examples": 1})
    content = RecordDict({"arrays": ArrayRecord(trained), "metrics": metrics})
    return Message(content=content, reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Say something of it."""
    metrics = MetricRecord({"random_metric": float(np.random.rand()), "num-examples": 1})
    return Message(content=RecordDict({"metrics": metrics}), reply_to=message)
