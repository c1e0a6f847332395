"""A plain PyTorch loop: one client after the other, as anybody would write it."""

from __future__ import annotations

import torch
from measured import Rounds, Workload, parser
from nets import NETS, Trainer, accuracy_of, tensors_of


def main() -> None:
    made = parser()
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--net", choices=NETS, default="mlp")
    options = made.parse_args()
    torch.set_num_threads(options.threads)
    workload = Workload(options.data)
    net = NETS[options.net](workload)
    data = tensors_of(workload)
    trainer = Trainer(net)
    mean = [parameter.detach().clone() for parameter in net.parameters()]

    def one_round(picked: list[int]) -> None:
        nonlocal mean
        rows = sum(len(data[client][1]) for client in picked)
        total = [torch.zeros_like(value) for value in mean]
        for client in picked:
            trained = trainer.train(mean, *data[client])
            share = len(data[client][1]) / rows
            with torch.no_grad():
                for one, value in zip(total, trained, strict=True):
                    one.add_(value, alpha=share)
        mean = total

    rounds = Rounds(workload)
    rounds.run(options, one_round, lambda: accuracy_of(net, mean, workload))
    rounds.report(torch.__version__)


if __name__ == "__main__":
    main()
