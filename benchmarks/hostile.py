"""What two lying clients of ten cost, and what helps.

    python benchmarks/hostile.py [--quick] [--json FILE]

Digits, 10 clients, all in every round, 10 rounds of two local epochs, uplink in float16, downlink
without loss; accuracy is the mean of the last three rounds, mean (lowest to highest) over two
seeds. Clients 0 and 1 send, from the first round on, something else than their update. Nobody is
set aside, so that every round has its attack. --quick: one seed, few rounds; its figures show that
it runs, no more.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import arguments, finish
from flwr.app import ArrayRecord
from lies import ATTACKS, Attack, attacking

from frugalfl.errors import FrugalFLError
from frugalfl.modules import read_parameters, write_parameters
from frugalfl.settings import Settings
from frugalfl.task import load_task
from frugalfl_client.device import forget_devices
from frugalfl_server.phases.initial_model import initial_model
from frugalfl_server.rounds.evaluate import accuracy
from frugalfl_server.rounds.flower_arrays import pack, unpack
from frugalfl_server.rounds.flower_strategies import strategy_of
from frugalfl_server.rounds.strategy import FrugalStrategy
from frugalfl_sim.apps import importable, quiet_flower
from frugalfl_sim.engine.grid import InProcessGrid

DIGITS = Path(__file__).parents[1] / "simulations" / "digits"
SEEDS = (0, 1)
BAD = (0, 1)
#: From a name to strategy and norm bound.
DEFENCES = {
    "fedavg": ("fedavg", 0.0),
    "fedavg, norm-bound 5": ("fedavg", 5.0),
    "fedmedian": ("fedmedian", 0.0),
    "fedtrimmedavg(20%)": ("fedtrimmedavg(20%)", 0.0),
    "multikrum(2, 6)": ("multikrum(2, 6)", 0.0),
}


def run(attack: Attack | None, strategy: str, bound: float, seed: int, rounds: int) -> float:
    """Run one federation; return its accuracy, 0.1 (a guess) where it could not go on."""
    settings = Settings.of(
        strategy=strategy, norm_bound=bound, seed=seed, rounds=rounds, clients=10,
        clients_per_round=10, local_epochs=2, uplink="float16 | zstd", downlink="zstd",
    )  # fmt: skip
    scores = []
    with tempfile.TemporaryDirectory() as folder, importable(DIGITS), quiet_flower():
        random.seed(seed)
        task = load_task(settings.run.task)
        module = initial_model(task, settings)
        model = read_parameters(module)
        grid = InProcessGrid(
            attacking(attack, BAD), settings.simulation.clients, settings.as_config(), Path(folder)
        )
        wrapped = FrugalStrategy.wrap(strategy_of(settings), settings)

        def score(number: int, arrays: ArrayRecord) -> None:
            write_parameters(module, unpack(arrays))
            scores.append(accuracy(module, task.public_rows().test))

        try:
            wrapped.start(grid, pack(model), num_rounds=rounds, evaluate_fn=score)
        except FrugalFLError:
            scores = [0.1]  # beyond what a parameter may be
        forget_devices()
    return statistics.fmean(scores[-3:])


def main() -> None:
    """Run all attacks on all defences and print the table."""
    options = arguments(__doc__)
    seeds, rounds = (SEEDS[:1], 3) if options.quick else (SEEDS, 10)
    figures: dict[str, Any] = {}
    print(f"{'':20}" + "".join(f"{name:>24}" for name in DEFENCES))
    for name, attack in ATTACKS.items():
        row = {}
        for defence, (strategy, bound) in DEFENCES.items():
            with np.errstate(all="ignore"):
                scores = [run(attack, strategy, bound, seed, rounds) for seed in seeds]
            row[defence] = {
                "mean": statistics.fmean(scores),
                "low": min(scores),
                "high": max(scores),
            }
        figures[name] = row
        cells = (f"{c['mean']:.3f} ({c['low']:.3f} {c['high']:.3f})" for c in row.values())
        print(f"{name:20}" + "".join(f"{cell:>24}" for cell in cells), flush=True)
    finish(options, {"seeds": len(seeds), "rounds": rounds, "accuracy": figures})


if __name__ == "__main__":
    sys.exit(main())
