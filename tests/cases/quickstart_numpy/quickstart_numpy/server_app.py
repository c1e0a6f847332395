"""A ServerApp with Flower's FedAvg."""

import numpy as np
from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the rounds, and keep the model."""
    result = FedAvg().start(
        grid=grid,
        initial_arrays=ArrayRecord([np.ones((1, 1))]),
        num_rounds=int(context.run_config["num-server-rounds"]),
    )
    np.savez("final_model.npz", *result.arrays.to_numpy_ndarrays())
