"""BlazeFL's FedAvg, with its serial trainer or with its pool of threads."""

from __future__ import annotations

from importlib.metadata import version

import torch
from blazefl.contrib import fedavg
from measured import BATCH, LEARNING_RATE, Rounds, Workload, parser
from nets import mlp, tensors_of
from torch.utils.data import DataLoader, TensorDataset

# Bars of progress are for people.
fedavg.tqdm = lambda iterable, **_: iterable
SEED = 0


class Selector:
    """Builds the model."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload

    def select_model(self, model_name: str) -> torch.nn.Module:
        """Return the first model."""
        return mlp(self._workload)


class Digits:
    """Loaders of the clients' rows."""

    def __init__(self, workload: Workload) -> None:
        self._sets = [TensorDataset(x, y) for x, y in tensors_of(workload)]

    def get_dataset(self, type_: str, cid: int) -> TensorDataset:
        """Return a client's rows."""
        return self._sets[cid]

    def get_dataloader(
        self, type_: str, cid: int, batch_size: int, generator: torch.Generator | None = None
    ) -> DataLoader:
        """Return a client's loader."""
        return DataLoader(self._sets[cid], batch_size, shuffle=True, generator=generator)


def main() -> None:
    made = parser()
    made.add_argument("--trainer", choices=("serial", "threads"), default="serial")
    options = made.parse_args()
    torch.set_num_threads(1)
    workload = Workload(options.data)
    selector, data = Selector(workload), Digits(workload)
    handler = fedavg.FedAvgBaseServerHandler(
        model_selector=selector, model_name="mlp", dataset=data, global_round=options.rounds,
        num_clients=workload.clients, sample_ratio=workload.cohort / workload.clients,
        device="cpu", batch_size=BATCH, seed=SEED,
    )  # fmt: skip
    given = {
        "model_selector": selector, "model_name": "mlp", "dataset": data, "device": "cpu",
        "num_clients": workload.clients, "epochs": 1, "batch_size": BATCH, "lr": LEARNING_RATE,
        "seed": SEED,
    }  # fmt: skip
    if options.trainer == "serial":
        trainer = fedavg.FedAvgBaseClientTrainer(**given)
    else:
        trainer = fedavg.FedAvgThreadPoolClientTrainer(**given, num_parallels=2)
    rounds = Rounds(workload)
    while not handler.if_stop():
        asked, down = handler.sample_clients(), handler.downlink_package()
        trainer.local_process(down, asked)
        for package in trainer.uplink_package():
            handler.load(package)
        rounds.ended()
    rounds.report(version("blazefl"), workload.accuracy(handler.model.state_dict()))


if __name__ == "__main__":
    main()
