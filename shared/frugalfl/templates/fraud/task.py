"""Find rare cases: card fraud, about 2 payments in 100, over the branches of a bank.

Accuracy says nothing here (to say never is right in 98 %), so average precision is the first
metric. To make it yours: `client_data` reads this branch's own payments, `public_data` what the
server may see, `model` builds the network. docs/task.md has the rules; docs/fraud.md goes further:
counters of terminals shared between branches, federated trees, money.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from frugalfl import Examples, PublicData, Task
from frugalfl.metrics import average_precision

if TYPE_CHECKING:
    import torch
    from torch import nn

FEATURES = (
    "amount / mean of this card", "amount, EUR, log10", "hours since the last payment, log10",
    "distance to the last payment, km, log10", "at night", "abroad",
)  # fmt: skip
#: Mean and spread of each feature that are expected: agreed on beforehand, not taken from rows.
MEAN, SPREAD = np.array([1.0, 1.6, 1.0, 0.8, 0.2, 0.1]), np.array([0.8, 0.5, 0.7, 0.6, 0.4, 0.3])
PAYMENTS, FRAUDS = 3000, 0.02


def payments(seed: int) -> Examples:
    """Make up payments of one branch; frauds are larger, sooner, farther away, more at night."""
    rng = np.random.default_rng(seed)
    fraud = rng.random(PAYMENTS) < FRAUDS
    habits = rng.normal(0, 0.1, 4)  # customers of a branch are alike
    ratio = rng.lognormal(habits[0] - 0.2 + 0.8 * fraud, 0.5)
    amount = np.log10(ratio * rng.lognormal(3.5 + habits[1], 0.7, PAYMENTS))
    hours = rng.normal(1.1 + habits[2] - 0.9 * fraud, 0.6)
    distance = rng.normal(0.7 + habits[3] + 0.9 * fraud, 0.5)
    night, abroad = rng.random((2, PAYMENTS)) < np.where(fraud, [[0.5], [0.4]], [[0.15], [0.06]])
    x = np.stack([ratio, amount, hours, distance, night, abroad], axis=1)
    return Examples(((x - MEAN) / SPREAD).astype(np.float32), fraud[:, None].astype(np.float32))


def client_data(client: int, clients: int) -> Examples:
    """This branch's own payments."""
    return payments(seed=client + 1)


def public_data() -> PublicData:
    """What the server may see: payments that were released for tests, which no branch has."""
    return PublicData(test=payments(seed=0))


def model() -> nn.Module:
    """A fresh model with one output, the logit of fraud. PyTorch is imported here only."""
    from torch import nn

    return nn.Sequential(
        nn.Linear(len(FEATURES), 16), nn.ReLU(),
        nn.Linear(16, 6), nn.ReLU(),
        nn.Linear(6, 1),
    )  # fmt: skip


def cross_entropy(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of the logit."""
    from torch.nn.functional import binary_cross_entropy_with_logits

    return binary_cross_entropy_with_logits(outputs, targets)


def ranking(outputs: np.ndarray, targets: np.ndarray) -> float:
    """Average precision of payments ordered by their logit."""
    return average_precision(outputs[:, 0], targets[:, 0])


task = Task(
    "__NAME__",
    model=model,
    client_data=client_data,
    public_data=public_data,
    loss=cross_entropy,
    kind="binary",
    metrics={"average_precision": ranking},
    about={
        "inputs": list(FEATURES), "scaling": {"mean": MEAN.tolist(), "spread": SPREAD.tolist()},
        "output": "logit of fraud",
    },
)  # fmt: skip
