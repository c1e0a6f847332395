"""FrugalFL's engine alone: a round's clients trained as one batched program, and their mean.

Nothing is encoded and no message is made; models go in and updates come out as the client's own
trainer has them.
"""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
import torch
from measured import BATCH, LEARNING_RATE, Rounds, Workload, parser
from nets import NETS, accuracy_of

from frugalfl import Examples, Task
from frugalfl.blocks import Layout
from frugalfl.modules import read_parameters
from frugalfl.settings import Settings
from frugalfl_sim.engine.cohort import CohortTrainer, Job


def main() -> None:
    made = parser()
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--net", choices=NETS, default="mlp")
    options = made.parse_args()
    torch.set_num_threads(options.threads)
    workload = Workload(options.data)
    data = [Examples(*workload.data_of(client)) for client in range(workload.clients)]
    net = NETS[options.net](workload)
    task = Task(
        "digits", model=lambda: NETS[options.net](workload),
        client_data=lambda client, clients: data[client],
    )  # fmt: skip
    settings = Settings.of(
        local_epochs=1, batch_size=BATCH, learning_rate=LEARNING_RATE, momentum=0.0,
        final_learning_rate=LEARNING_RATE, schedule="constant", clients=workload.clients,
        clients_per_round=workload.cohort,
    )  # fmt: skip
    trainer = CohortTrainer(task, settings)
    if trainer.why_not:
        raise SystemExit(trainer.why_not)
    model, number = read_parameters(net), 0
    planned = tuple(range(len(Layout.of(model).blocks)))

    def one_round(picked: list[int]) -> None:
        nonlocal model, number
        number += 1
        jobs = [
            Job(model, planned, data[client], LEARNING_RATE, (0, client, number))
            for client in picked
        ]
        trained = trainer.train(jobs)
        rows = np.array([len(data[client]) for client in picked], np.float32)
        shares = rows / rows.sum()
        model = {
            name: value + np.tensordot(shares, np.stack([one.update[name] for one in trained]), 1)
            for name, value in model.items()
        }

    def accuracy() -> float:
        return accuracy_of(net, [torch.from_numpy(v) for v in model.values()], workload)

    rounds = Rounds(workload)
    rounds.run(options, one_round, accuracy)
    rounds.report(version("frugalfl"))


if __name__ == "__main__":
    main()
