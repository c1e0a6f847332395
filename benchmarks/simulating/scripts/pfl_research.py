"""pfl-research's FedAvg on its simulated backend, in one process or, under torchrun, in two."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version

import numpy as np
import torch
from measured import BATCH, LEARNING_RATE, Rounds, Workload, parser
from nets import mlp, tensors_of


def under_torchrun(processes: int) -> None:
    """Start this script anew in so many processes, as pfl's documents say; never return."""
    given = [word for word in sys.argv[1:] if word != "--processes"]
    given.remove(str(processes))
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    os.environ["OMP_NUM_THREADS"] = "1"
    os.execv(sys.executable, [sys.executable, *words, sys.argv[0], *given])


def main() -> None:
    made = parser()
    made.add_argument("--processes", type=int, default=1)
    options = made.parse_args()
    if options.processes > 1:
        under_torchrun(options.processes)
    from pfl.aggregate.simulate import SimulatedBackend
    from pfl.aggregate.weighting import WeightByDatapoints
    from pfl.algorithm.base import NNAlgorithmParams
    from pfl.algorithm.federated_averaging import FederatedAveraging
    from pfl.callback.base import TrainingProcessCallback
    from pfl.data.dataset import Dataset
    from pfl.data.federated_dataset import FederatedDataset
    from pfl.hyperparam import NNTrainHyperParams
    from pfl.internal.ops.selector import get_framework_module
    from pfl.metrics import Metrics
    from pfl.model.pytorch import PyTorchModel

    torch.set_num_threads(1)
    torch.manual_seed(0)
    np.random.seed(0)
    workload = Workload(options.data)
    tensors = tensors_of(workload)

    class Net(torch.nn.Module):
        """The MLP with the two methods that pfl asks for."""

        def __init__(self) -> None:
            super().__init__()
            self.layers = mlp(workload)

        def loss(self, x: torch.Tensor, y: torch.Tensor, eval: bool = False) -> torch.Tensor:
            return torch.nn.functional.cross_entropy(self.layers(x), y)

        def metrics(self, x: torch.Tensor, y: torch.Tensor, eval: bool = False) -> dict:
            return {}

    def rows_of(client: int) -> Dataset:
        x, y = tensors[client]
        order = torch.randperm(len(y))
        return Dataset(raw_data=[x[order], y[order]], user_id=str(client))

    rng = np.random.default_rng(0)
    net = Net()
    model = PyTorchModel(net, torch.optim.SGD, torch.optim.SGD(net.parameters(), lr=1.0))
    users = FederatedDataset(rows_of, lambda: int(rng.integers(workload.clients)))
    rounds = Rounds(workload)

    class Clock(TrainingProcessCallback):
        """Notes when a round ended."""

        def after_central_iteration(
            self, aggregate_metrics: Metrics, model: PyTorchModel, *, central_iteration: int
        ) -> tuple[bool, Metrics]:
            rounds.ended()
            return False, Metrics()

    FederatedAveraging().run(
        NNAlgorithmParams(
            central_num_iterations=options.rounds, evaluation_frequency=10**9,
            train_cohort_size=workload.cohort, val_cohort_size=0,
        ),
        SimulatedBackend(users, users, postprocessors=[WeightByDatapoints()]),
        model,
        NNTrainHyperParams(
            local_learning_rate=LEARNING_RATE, local_num_epochs=1, local_batch_size=BATCH
        ),
        callbacks=[Clock()],
        send_metrics_to_platform=False,
    )  # fmt: skip
    if get_framework_module().distributed.global_rank == 0:
        rounds.report(version("pfl"), workload.accuracy(net.layers.state_dict()))


if __name__ == "__main__":
    main()
