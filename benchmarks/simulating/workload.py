"""The workload that all peers get: digits over many clients, an MLP, who is asked when."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import numpy as np
from common import ROOT

SEED = 7
#: Rounds whose clients are drawn; longer runs begin anew with the first.
_DRAWN = 200
#: The same workload as an app: `frugalfl simulate benchmarks/tasks/digits_mlp`.
APP = ROOT / "benchmarks" / "tasks" / "digits_mlp"


@lru_cache(maxsize=1)
def app_task() -> ModuleType:
    """Return the app's task.py, whose images and split are the workload's."""
    spec = importlib.util.spec_from_file_location("digits_mlp_task", APP / "task.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def first_model(seed: int = SEED) -> dict[str, np.ndarray]:
    """Return the first MLP, drawn as PyTorch draws a linear layer's: uniformly."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, outputs, inputs in (("0", 32, 64), ("2", 10, 32)):
        bound = inputs**-0.5
        for kind, shape in (("weight", (outputs, inputs)), ("bias", (outputs,))):
            found[f"{name}.{kind}"] = rng.uniform(-bound, bound, shape).astype(np.float32)
    return found


def write_workload(file: Path, clients: int, cohort: int, seed: int = SEED) -> None:
    """Write the workload for the scripts of the peers.

    Args:
        file: Where to, ``.npz``.
        clients: Number of clients.
        cohort: Clients a round.
        seed: Same seed, same workload.
    """
    digits = app_task().images()
    parts = app_task().split(len(digits), clients, seed)
    rng = np.random.default_rng(seed)
    picked = [rng.choice(clients, cohort, replace=False) for _ in range(_DRAWN)]
    np.savez(
        file,
        x=digits.x,
        y=digits.y,
        rows=np.concatenate(parts),
        ends=np.cumsum([len(part) for part in parts]),
        picked=np.array(picked),
        **first_model(seed),
    )
