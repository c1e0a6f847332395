"""FedLab's standalone pipeline: FedAvg with its serial trainer."""

from __future__ import annotations

import logging
import sys
import types
from importlib.metadata import version

import torch
from measured import BATCH, LEARNING_RATE, Rounds, Workload, parser
from nets import mlp, tensors_of
from torch.utils.data import DataLoader, TensorDataset


def stand_in() -> None:
    """Let FedLab import torchvision and PIL, for data sets of its own that are not used here.

    torchvision for this build of PyTorch is not on PyPI.
    """
    for package, inner in (("torchvision", ("transforms", "datasets")), ("PIL", ("Image",))):
        whole = sys.modules.setdefault(package, types.ModuleType(package))
        for name in inner:
            part = sys.modules.setdefault(f"{package}.{name}", types.ModuleType(name))
            setattr(whole, name, part)


class Digits:
    """Loaders of the clients' rows, made when they are asked for as in FedLab's own data sets."""

    def __init__(self, workload: Workload) -> None:
        self._sets = [TensorDataset(x, y) for x, y in tensors_of(workload)]

    def get_dataloader(self, client: int, batch_size: int) -> DataLoader:
        """Return a client's loader."""
        return DataLoader(self._sets[client], batch_size, shuffle=True)


def main() -> None:
    options = parser().parse_args()
    torch.set_num_threads(1)
    workload = Workload(options.data)
    stand_in()
    from fedlab.contrib.algorithm.basic_server import SyncServerHandler
    from fedlab.contrib.algorithm.fedavg import FedAvgSerialClientTrainer
    from fedlab.core.standalone import StandalonePipeline

    quiet = logging.getLogger("fedlab")
    quiet.setLevel(logging.ERROR)
    share = workload.cohort / workload.clients
    handler = SyncServerHandler(mlp(workload), options.rounds, share, logger=quiet)
    trainer = FedAvgSerialClientTrainer(mlp(workload), workload.clients, logger=quiet)
    trainer.setup_dataset(Digits(workload))
    trainer.setup_optim(1, BATCH, LEARNING_RATE)
    pipeline, rounds = StandalonePipeline(handler, trainer), Rounds(workload)
    pipeline.evaluate = rounds.ended  # which it calls after each round
    pipeline.main()
    rounds.report(version("fedlab"), workload.accuracy(handler.model.state_dict()))


if __name__ == "__main__":
    main()
