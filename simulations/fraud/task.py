"""Card fraud over the branches of a bank: each branch's own file, features made on the branch.

`pilot.toml` beside this file, or the one that $FRUGALFL_FRAUD names, says where the files are and
what their columns mean. With ``counters = "shared"`` the branches' terminal counters are summed
over all of them; nothing else of one branch enters the features of another.
"""

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from fraud.config import Config, load_config
from fraud.counters import counters as counted
from fraud.features import names
from fraud.files import load_branch
from fraud.prepare import Prepared, clean, prepare
from fraud.schema import Transactions

from frugalfl import Examples, PublicData, Task
from frugalfl.metrics import two_class_average_precision, two_class_roc_auc
from frugalfl.sums import Table, add_up, at_keys_of

SETTINGS = Path(os.environ.get("FRUGALFL_FRAUD") or Path(__file__).with_name("pilot.toml"))
#: Widths of the network's hidden layers.
HIDDEN = 64, 32


@lru_cache(maxsize=1)
def config() -> Config:
    """Read the pilot's settings."""
    return load_config(SETTINGS)


@lru_cache(maxsize=64)
def transactions(branch: int) -> Transactions:
    """Load and clean one branch's file; its folder is that of the settings."""
    return clean(load_branch(SETTINGS.parent, branch, config()).transactions, config())[0]


def prepared(branch: int, totals: Mapping[str, Table] | None = None) -> Prepared:
    """Make a branch's examples."""
    return prepare(transactions(branch), config(), totals)


def counters(client: int, clients: int) -> dict[str, Table]:
    """Count a branch's transactions and frauds by terminal."""
    return counted(transactions(client), config())


def client_data(
    client: int, clients: int, totals: Mapping[str, Table] | None = None
) -> Examples:
    """One branch's training rows."""
    return prepared(client, totals).train


def branches() -> int:
    """Count the branches' files."""
    folder, pattern = SETTINGS.parent, config().files
    count = 0
    while (folder / pattern.replace("{client}", str(count))).exists():
        count += 1
    return count


def public_data(shared: bool) -> PublicData:
    """The test days of all branches: only whoever has all files can measure so."""
    own = [counters(branch, 0) for branch in range(branches())]
    total = add_up(own) if shared else None
    parts = [
        prepared(branch, None if total is None else at_keys_of(total, table))
        for branch, table in enumerate(own)
    ]
    x = np.concatenate([part.test_x for part in parts])
    return PublicData(test=Examples(x, np.concatenate([part.test_y for part in parts])))


def model():  # type: ignore[no-untyped-def]
    """Build a small network; its two outputs' difference is the log odds of fraud."""
    from torch import nn

    first, second = HIDDEN
    return nn.Sequential(
        nn.Linear(len(names(config())), first), nn.ReLU(),
        nn.Linear(first, second), nn.ReLU(), nn.Linear(second, 2),
    )  # fmt: skip


task = Task(
    "fraud", model=model, client_data=client_data, public_data=public_data, counters=counters,
    metrics={"average_precision": two_class_average_precision, "roc_auc": two_class_roc_auc},
)  # fmt: skip
