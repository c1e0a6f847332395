"""Card fraud over the branches of a bank: each branch's own file, features made on the branch.

`pilot.toml` beside this file, or the one that $FRUGALFL_FRAUD names, says where the files are and
what their columns mean. With ``counters = "shared"`` the branches' terminal counters are summed
over all of them; nothing else of one branch enters the features of another.
"""

import os
from pathlib import Path

import numpy as np
from fraud.bank import Bank, bank_of
from fraud.features import names

from frugalfl import Examples, PublicData, Task
from frugalfl.errors import TaskError
from frugalfl.metrics import two_class_average_precision, two_class_roc_auc
from frugalfl.sums import Tables

SETTINGS = Path(os.environ.get("FRUGALFL_FRAUD") or Path(__file__).with_name("pilot.toml"))
#: Widths of the network's hidden layers.
HIDDEN = 64, 32


def bank() -> Bank:
    """Return the branches; a real one has its own file only."""
    return bank_of(SETTINGS)


def counters(client: int, clients: int) -> Tables:
    """Count a branch's frauds by terminal."""
    config = bank().config
    if config.first_day is None or config.last_day is None or not config.has_terminal:
        raise TaskError(
            "shared counters need terminals, and first-day and last-day in pilot.toml: branches "
            "must count by the same days"
        )
    return bank().counters(client)


def client_data(client: int, clients: int, totals: Tables | None = None) -> Examples:
    """One branch's training rows."""
    return bank().prepared(client, totals).train


def public_data(shared: bool) -> PublicData:
    """The test days of all branches: only whoever has all files can measure so."""
    branches = range(bank().branches)
    totals = bank().totals() if shared else [None for _ in branches]
    parts = [bank().prepared(branch, totals[branch]) for branch in branches]
    x = np.concatenate([part.test_x for part in parts])
    return PublicData(test=Examples(x, np.concatenate([part.test_y for part in parts])))


def model():  # type: ignore[no-untyped-def]
    """Build a small network; its two outputs' difference is the log odds of fraud."""
    from torch import nn

    first, second = HIDDEN
    return nn.Sequential(
        nn.Linear(len(names(bank().config)), first), nn.ReLU(),
        nn.Linear(first, second), nn.ReLU(), nn.Linear(second, 2),
    )  # fmt: skip


task = Task(
    "fraud", model=model, client_data=client_data, public_data=public_data, counters=counters,
    metrics={"average_precision": two_class_average_precision, "roc_auc": two_class_roc_auc},
)  # fmt: skip
