"""The workload that all peers get: digits over many clients, an MLP, who is asked when."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from frugalfl.digits import load_digits

SEED = 7
#: Rounds whose clients are drawn; longer runs begin anew with the first.
_DRAWN = 200
#: Clients that share one shuffle of all images: 17 or 18 rows each, two mini-batches of 16.
_SHARING = 100


def split(rows: int, clients: int, seed: int = SEED) -> list[np.ndarray]:
    """Return the rows of every client: independent of their classes, alike in number.

    Each hundred clients share one shuffle of all rows; further hundreds shuffle anew, so that
    10,000 clients have as many rows each as 100.
    """
    rng = np.random.default_rng(seed)
    parts: list[np.ndarray] = []
    while len(parts) < clients:
        parts += np.array_split(rng.permutation(rows), _SHARING)
    return parts[:clients]


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
    digits = load_digits()
    parts = split(len(digits), clients, seed)
    rng = np.random.default_rng(seed)
    picked = [rng.choice(clients, cohort, replace=False) for _ in range(_DRAWN)]
    np.savez(
        file,
        x=digits.x.reshape(len(digits), 64).astype(np.float32),
        y=digits.y.astype(np.int64),
        rows=np.concatenate(parts),
        ends=np.cumsum([len(part) for part in parts]),
        picked=np.array(picked),
        **first_model(seed),
    )
