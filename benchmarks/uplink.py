"""Bytes of an upload and accuracy, at two cohort sizes, on three tasks, against float32 FedAvg.

    python benchmarks/uplink.py [--quick] [--json FILE]

The same settings for all tasks; no state on the clients, and a downlink without loss, so that the
uplink alone is compared. Accuracy is the mean of the last ten
rounds, over three seeds (lowest to highest); Flower's stock FedAvg in float32 runs beside it with
the same clients, seeds, rounds and step sizes. --quick: one seed, few rounds.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from common import arguments, finish

from frugalfl.settings import Settings
from frugalfl.task import load_task
from frugalfl_client.app import app as client_app
from frugalfl_client.device import forget_devices
from frugalfl_server.phases.federation import Federation
from frugalfl_server.phases.train import train
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.summary import BASELINE, OURS
from frugalfl_sim.apps import importable, quiet_flower
from frugalfl_sim.baseline import run_baseline
from frugalfl_sim.engine.grid import InProcessGrid

UPLINK = "stochastic(auto) | range"
ROOT = Path(__file__).parent
#: Folder, clients, and a step size at which float32 FedAvg does well.
TASKS = {
    "digits": (ROOT.parent / "simulations" / "digits", 40, 0.05),
    "cancer": (ROOT / "tasks" / "cancer", 30, 0.02),
    "sensor": (ROOT / "tasks" / "sensor", 40, 0.02),
}
#: Rounds at cohorts of 10 and of 3.
COHORTS = {10: 100, 3: 200}


def run(name: str, cohort: int, rounds: int, seed: int) -> dict[str, float]:
    """Run ours and the baseline; return accuracies and bytes."""
    folder, clients, rate = TASKS[name]
    settings = Settings.of(
        seed=seed, rounds=rounds, clients=clients, clients_per_round=cohort, local_epochs=2,
        learning_rate=rate, final_learning_rate=rate / 5, prune=0.0, uplink=UPLINK,
        downlink="zstd",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as runs, importable(folder), quiet_flower():
        task = load_task(settings.run.task)
        run = RunDirectory.create(Path(runs), name, settings, folder)
        grid = InProcessGrid(client_app, clients, settings.as_config(), run.path / "devices")
        train(Federation(grid, settings, task, run, quiet=True))
        forget_devices()
        run_baseline(settings, task, run, quiet=True)
        forget_devices()
        ours, theirs = (
            [r for r in run.rounds if r.federation == which] for which in (OURS, BASELINE)
        )
    return {
        "accuracy": statistics.fmean(r.accuracy for r in ours[-10:]),
        "accuracy_float32": statistics.fmean(r.accuracy for r in theirs[-10:]),
        "bytes_per_update": sum(r.uplink_bytes for r in ours) / sum(r.updates for r in ours),
        "bytes_per_update_float32": theirs[0].uplink_bytes / theirs[0].updates,
    }


def spread_of(values: list[float]) -> str:
    """Return mean, lowest and highest as text."""
    return f"{statistics.fmean(values):.4f} ({min(values):.3f} to {max(values):.3f})"


def main() -> None:
    """Run everything and print a row a task and cohort."""
    options = arguments(__doc__)
    torch.set_num_threads(1)
    seeds = (0,) if options.quick else (0, 1, 2)
    figures: dict[str, Any] = {"uplink": UPLINK, "seeds": len(seeds)}
    print(f"uplink: {UPLINK}")
    print(f"{'task':8} {'cohort':>6}  {'accuracy':>24}  {'float32':>24}  {'B/update':>9}  {'x':>6}")
    for name in TASKS:
        for cohort, rounds in COHORTS.items():
            rows = [run(name, cohort, 12 if options.quick else rounds, seed) for seed in seeds]
            row = {key: statistics.fmean(r[key] for r in rows) for key in rows[0]}
            row["times_smaller"] = row["bytes_per_update_float32"] / row["bytes_per_update"]
            spread = {key: spread_of([r[key] for r in rows]) for key in row if "accuracy" in key}
            print(
                f"{name:8} {cohort:>6}  {spread['accuracy']:>24}  {spread['accuracy_float32']:>24}"
                f"  {row['bytes_per_update']:>9.0f}  {row['times_smaller']:>6.0f}",
                flush=True,
            )
            figures[f"{name}_{cohort}"] = row
    finish(options, figures)


if __name__ == "__main__":
    sys.exit(main())
