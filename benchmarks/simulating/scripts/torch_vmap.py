"""``torch.func.vmap`` over the clients of a round, written by hand for any module."""

from __future__ import annotations

import torch
from batched import Cohort
from measured import LEARNING_RATE, Rounds, Workload, parser
from nets import mlp
from torch.func import functional_call, grad, vmap


def main() -> None:
    made = parser()
    made.add_argument("--threads", type=int, default=1)
    options = made.parse_args()
    torch.set_num_threads(options.threads)
    workload = Workload(options.data)
    net, cohort = mlp(workload), Cohort(workload)
    mean = {name: value.detach().clone() for name, value in net.named_parameters()}

    def loss(
        parameters: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor,
        mask: torch.Tensor, count: torch.Tensor,
    ) -> torch.Tensor:  # fmt: skip
        outputs = functional_call(net, parameters, (x,))
        losses = torch.nn.functional.cross_entropy(outputs, y, reduction="none")
        return (losses * mask).sum() / count

    gradients = vmap(grad(loss))

    def one_round(picked: list[int]) -> None:
        each = {n: v.expand(len(picked), *v.shape) for n, v in mean.items()}
        for batch in cohort.batches(picked):
            moved = gradients(each, *batch)
            each = {name: each[name] - LEARNING_RATE * moved[name] for name in each}
        shares = cohort.shares(picked)
        mean.update({name: torch.tensordot(shares, v, 1) for name, v in each.items()})

    rounds = Rounds(workload)
    rounds.run(options, one_round, lambda: workload.accuracy(mean))
    rounds.report(torch.__version__)


if __name__ == "__main__":
    main()
