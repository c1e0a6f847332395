"""FedLab's standalone pipeline: FedAvg with its serial trainer."""

from __future__ import annotations

import logging
import sys
import types
from importlib.metadata import version

import torch
from measured import BATCH, LEARNING_RATE, Rounds, Workload, parser
from nets import mlp, tensors_of

# FedLab imports torchvision and PIL for data sets that are not used here; torchvision for this
# build of PyTorch is not on PyPI.
for absent in ("torchvision", "torchvision.transforms", "torchvision.datasets", "PIL", "PIL.Image"):
    sys.modules.setdefault(absent, types.ModuleType(absent))
sys.modules["torchvision"].transforms = sys.modules["torchvision.transforms"]
sys.modules["torchvision"].datasets = sys.modules["torchvision.datasets"]
sys.modules["PIL"].Image = sys.modules["PIL.Image"]

from fedlab.contrib.algorithm.basic_server import SyncServerHandler
from fedlab.contrib.algorithm.fedavg import FedAvgSerialClientTrainer
from fedlab.core.standalone import StandalonePipeline
from torch.utils.data import DataLoader, TensorDataset


class Digits:
    """Loaders of the clients' rows, made when they are asked for as in FedLab's own data sets."""

    def __init__(self, workload: Workload) -> None:
        self._sets = [TensorDataset(x, y) for x, y in tensors_of(workload)]

    def get_dataloader(self, client: int, batch_size: int) -> DataLoader:
        """Return a client's loader."""
        return DataLoader(self._sets[client], batch_size, shuffle=True)


class Pipeline(StandalonePipeline):
    """The pipeline, which calls ``evaluate`` after each round."""

    rounds: Rounds

    def evaluate(self) -> None:
        """Note that a round ended."""
        self.rounds.ended()


def main() -> None:
    options = parser().parse_args()
    torch.set_num_threads(1)
    workload = Workload(options.data)
    quiet = logging.getLogger("fedlab")
    quiet.setLevel(logging.ERROR)
    net = mlp(workload)
    handler = SyncServerHandler(
        net, options.rounds, workload.cohort / workload.clients, logger=quiet
    )
    trainer = FedAvgSerialClientTrainer(mlp(workload), workload.clients, logger=quiet)
    trainer.setup_dataset(Digits(workload))
    trainer.setup_optim(1, BATCH, LEARNING_RATE)
    pipeline = Pipeline(handler, trainer)
    pipeline.rounds = Rounds(workload)
    pipeline.main()
    accuracy = workload.accuracy(handler.model.state_dict())
    pipeline.rounds.report(version("fedlab"), accuracy)


if __name__ == "__main__":
    main()
