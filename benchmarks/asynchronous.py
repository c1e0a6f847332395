"""Buffered asynchronous aggregation against rounds, where one client in five is ten times slower.

    python benchmarks/asynchronous.py [--biased] [--seeds N] [--quick] [--json FILE]

The settings of simulations/digits without pruning: 40 clients, 10 at work at a time, three seeds.
A client answers after 1 s, every fifth after 10 s, on a simulated clock; nothing sleeps. Every row
has 800 updates: 80 rounds, or as many steps as buffers of them. Accuracy is the mean of the last
three steps. "s to sync" is when the mean of three steps reached the synchronous run's final
accuracy on the same seed, less half a point; mean over the seeds on which it did, "of" says how
many. "s in all" has the waiting for those who were still at work at the end. Joules are estimated
from processor time.

"slow turns" is the share of all turns that slow clients had, who are a fifth of the clients; "slow
rows" and "quick rows" are what the final model gets right of the slow and of the quick clients' own
rows. With --biased the slow clients have all 8s and 9s, and no other digits.
--quick: one seed, few steps; its figures show that it runs, no more.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import finish, parser_of

from frugalfl import Examples, Task
from frugalfl.energy import SERVER
from frugalfl.task import load_task
from frugalfl_client.app import app as client_app
from frugalfl_client.device import forget_devices
from frugalfl_server.phases.federation import Federation
from frugalfl_server.phases.train import train
from frugalfl_server.rounds.evaluate import accuracy
from frugalfl_server.run.directory import RunDirectory
from frugalfl_sim.apps import importable, quiet_flower, read_settings
from frugalfl_sim.engine.grid import InProcessGrid

DIGITS = Path(__file__).parents[1] / "simulations" / "digits"
DELAYS, SLOW_EVERY = "1 s * 4, 10 s", 5
UPDATES = 800
#: How far below the synchronous run's final accuracy counts as having reached it.
WITHIN = 0.005
#: The setting ``asynchronous``, and updates a step; the first one is synchronous.
WAYS = (("", 10), ("buffered(10)", 10), ("buffered(5)", 5))
COLUMNS = (
    ("accuracy", ".4f"), ("simulated_to_sync_s", ".0f"), ("reached", ".0f"), ("simulated_s", ".0f"),
    ("uplink_bytes", ",.0f"), ("downlink_bytes", ",.0f"), ("energy_estimated_j", ".1f"),
    ("slow_turns", ".3f"), ("slow_rows", ".4f"), ("quick_rows", ".4f"),
)  # fmt: skip
HEADINGS = (
    "accuracy", "s to sync", "of", "s in all", "B up", "B down", "J", "slow turns", "slow rows",
    "quick rows",
)  # fmt: skip


def run(way: str, steps: int, seed: int, biased: bool) -> dict[str, Any]:
    """Run one federation; return its figures under names with units, and its curve."""
    settings = read_settings(DIGITS).changed(
        seed=seed, rounds=steps, prune=0.0, evaluate_rows=0,
        asynchronous=way, delays=DELAYS, task="slow_digits:task" if biased else "task:task",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as runs, importable(DIGITS), quiet_flower():
        task = load_task(settings.run.task)
        run = RunDirectory.create(Path(runs), task.name, settings, DIGITS)
        devices = run.path / "devices"
        grid = InProcessGrid(client_app, settings.simulation.clients, settings.as_config(), devices)
        model = train(Federation(grid, settings, task, run, quiet=True))
        forget_devices()
        scores = {
            name: accuracy(model, rows_of(task, settings.simulation.clients, slow))
            for name, slow in (("slow_rows", True), ("quick_rows", False))
        }
    each = [record.accuracy for record in run.rounds]
    smooth = [statistics.fmean(each[max(0, n - 2) : n + 1]) for n in range(len(each))]
    times = accumulate(record.simulated_s or 0.0 for record in run.rounds)
    trained = [r for r in run.energy if r.phase == "train" and r.client != SERVER]
    return {
        "accuracy": smooth[-1],
        "curve": list(zip(times, smooth, strict=True)),
        "simulated_s": sum(record.simulated_s or 0.0 for record in run.rounds),
        "uplink_bytes": sum(record.uplink_bytes for record in run.rounds),
        "downlink_bytes": sum(record.downlink_bytes for record in run.rounds),
        "energy_estimated_j": sum(record.energy_estimated_j or 0.0 for record in run.rounds),
        "slow_turns": sum(is_slow(int(record.client)) for record in trained) / len(trained),
        **scores,
    }  # fmt: skip


def is_slow(client: int) -> bool:
    """Say whether DELAYS make a client slow."""
    return client % SLOW_EVERY == SLOW_EVERY - 1


def rows_of(task: Task, clients: int, slow: bool) -> Examples:
    """Return the rows of all slow, or of all quick clients."""
    each = [task.rows_of(n, clients) for n in range(clients) if is_slow(n) == slow]
    return Examples(
        np.concatenate([rows.x for rows in each]), np.concatenate([rows.y for rows in each])
    )


def mean_of(rows: list[dict[str, Any]], synchronous: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the means over the seeds, and the time to the synchronous accuracy of each seed."""
    reached = [
        time
        for row, other in zip(rows, synchronous, strict=True)
        if (time := when(row["curve"], other["accuracy"] - WITHIN)) is not None
    ]
    means = {
        name: statistics.fmean(row[name] for row in rows) for name in rows[0] if name != "curve"
    }
    return means | {
        "accuracies": [row["accuracy"] for row in rows],
        "simulated_to_sync_s": statistics.fmean(reached) if reached else None,
        "reached": len(reached),
    }


def when(curve: list[tuple[float, float]], wanted: float) -> float | None:
    """Return when a curve of (s, accuracy) reaches an accuracy, from its third step on."""
    return next((time for time, score in curve[2:] if score >= wanted), None)


def main() -> None:
    """Run every way and print its row."""
    parser = parser_of(__doc__)
    parser.add_argument("--biased", action="store_true", help="8s and 9s on slow clients only")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds, from 0")
    options = parser.parse_args()
    torch.set_num_threads(1)
    seeds = range(1 if options.quick else options.seeds)
    updates = 60 if options.quick else UPDATES
    print(f"{'':14}" + "".join(f" {heading:>10}" for heading in HEADINGS))
    figures: dict[str, Any] = {}
    synchronous: list[dict[str, Any]] = []
    for way, buffer in WAYS:
        rows = [run(way, updates // buffer, seed, options.biased) for seed in seeds]
        synchronous = synchronous or rows
        mean = figures[way or "synchronous"] = mean_of(rows, synchronous)
        cells = ("-" if mean[name] is None else format(mean[name], form) for name, form in COLUMNS)
        print(f"{way or 'synchronous':14}" + "".join(f" {cell:>10}" for cell in cells), flush=True)
    finish(options, {"seeds": len(seeds), "biased": options.biased, "ways": figures})


if __name__ == "__main__":
    sys.exit(main())
