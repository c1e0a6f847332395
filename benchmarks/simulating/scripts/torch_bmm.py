"""The MLP's forward and backward pass written by hand with batched products: a bound.

It takes this one net only, and its gradients were derived on paper.
"""

from __future__ import annotations

import torch
from batched import Cohort
from measured import LEARNING_RATE, Rounds, Workload, parser
from nets import mlp


def main() -> None:
    made = parser()
    made.add_argument("--threads", type=int, default=1)
    options = made.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    workload = Workload(options.data)
    cohort = Cohort(workload)
    names = ("0.weight", "0.bias", "2.weight", "2.bias")
    state = mlp(workload).state_dict()
    mean = {name: state[name].clone() for name in names}

    def one_round(picked: list[int]) -> None:
        w1, b1, w2, b2 = (mean[n].repeat(len(picked), *[1] * mean[n].ndim) for n in names)
        for x, y, mask, count in cohort.batches(picked):
            hidden = torch.baddbmm(b1[:, None], x, w1.mT).relu_()
            wrong = torch.baddbmm(b2[:, None], hidden, w2.mT).softmax(2)
            wrong.scatter_add_(2, y[..., None], torch.full_like(wrong[..., :1], -1))
            wrong *= (mask / count[:, None])[..., None]
            back = torch.bmm(wrong, w2).mul_(hidden > 0)
            w2.baddbmm_(wrong.mT, hidden, alpha=-LEARNING_RATE)
            b2.sub_(wrong.sum(1), alpha=LEARNING_RATE)
            w1.baddbmm_(back.mT, x, alpha=-LEARNING_RATE)
            b1.sub_(back.sum(1), alpha=LEARNING_RATE)
        shares = cohort.shares(picked)
        for name, each in zip(names, (w1, b1, w2, b2), strict=True):
            mean[name] = torch.tensordot(shares, each, 1)

    rounds = Rounds(workload)
    rounds.run(options, one_round, lambda: workload.accuracy(mean))
    rounds.report(torch.__version__)


if __name__ == "__main__":
    main()
