"""What each refresh plan costs in accuracy, and saves in bytes, training time and joules.

    python benchmarks/refresh.py [--quick] [--json FILE]

The settings of simulations/digits, 80 rounds without pruning, three seeds; accuracy is the mean of
the last ten rounds (lowest to highest over the seeds). Bytes are those of all clients together.
Training time is processor time on the clients, joules are estimated from it (4 W a busy core), and
"all" counts decoding and encoding too; of these the lowest of the seeds, since a busy machine adds
to them. With by-link every second client declares the link lora.
--quick: one seed, few rounds; its figures show that it runs, no more.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from common import arguments, finish
from flwr.app import Context, Message

from frugalfl.energy import SERVER, totals
from frugalfl.task import load_task
from frugalfl_client.app import app as client_app
from frugalfl_client.device import forget_devices
from frugalfl_server.phases.federation import Federation
from frugalfl_server.phases.train import train
from frugalfl_server.run.directory import RunDirectory
from frugalfl_sim.apps import importable, quiet_flower, read_settings
from frugalfl_sim.engine.grid import InProcessGrid

DIGITS = Path(__file__).parents[1] / "simulations" / "digits"
SEEDS = (0, 1, 2)
#: ``full`` first: the others are compared with it. Block 6 is the large dense layer.
PLANS = (
    "full",
    "alternate(full, last(2))",
    "alternate(full, last(1), last(1), last(1))",
    "last(1)",
    "frozen(6)",
    "cyclic",
    "random(50%)",
    "largest-change(30%)",
    "by-link(full, lora, last(1))",
)


def client(message: Message, context: Context) -> Message:
    """Let every second device declare a slow link."""
    if int(context.node_config["partition-id"]) % 2:
        context.node_config["link"] = "lora"
    return client_app(message, context)


def run(plan: str, seed: int, quick: bool) -> dict[str, float]:
    """Run one federation; return its figures under names with units."""
    settings = read_settings(DIGITS).changed(refresh=plan, seed=seed, prune=0.0, evaluate_rows=0)
    if quick:
        settings = settings.changed(rounds=6)
    with tempfile.TemporaryDirectory() as runs, importable(DIGITS), quiet_flower():
        task = load_task(settings.run.task)
        run = RunDirectory.create(Path(runs), task.name, settings, DIGITS)
        grid = InProcessGrid(
            client, settings.simulation.clients, settings.as_config(), run.path / "devices"
        )
        train(Federation(grid, settings, task, run, quiet=True))
        forget_devices()
    # Neither the server's joules nor the radio's, which depend on the link and not on the plan.
    computed = [r for r in run.energy if r.client != SERVER and r.cpu_s is not None]
    training = [record for record in computed if record.phase == "train"]
    return {
        "accuracy": statistics.fmean(record.accuracy for record in run.rounds[-10:]),
        "uplink_bytes": sum(record.uplink_bytes for record in run.rounds),
        "downlink_bytes": sum(record.downlink_bytes for record in run.rounds),
        "train_cpu_s": totals(training).cpu_s or 0.0,
        "train_energy_estimated_j": totals(training).estimated_j or 0.0,
        "energy_estimated_j": totals(computed).estimated_j or 0.0,
    }


def figures_of(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean over the seeds, and of times and joules the lowest."""
    return {
        name: (min if name.endswith(("_s", "_j")) else statistics.fmean)(row[name] for row in rows)
        for name in rows[0]
    }


def line(plan: str, rows: list[dict[str, float]], full: dict[str, float]) -> str:
    """Return one row of the table."""
    mean = figures_of(rows)
    low, high = (pick(row["accuracy"] for row in rows) for pick in (min, max))
    both, of_full = (m["uplink_bytes"] + m["downlink_bytes"] for m in (mean, full))
    return (
        f"{plan:42} {mean['accuracy']:.4f} ({low:.3f} to {high:.3f})"
        f" {100 * (mean['accuracy'] - full['accuracy']):>+7.1f}"
        f" {mean['uplink_bytes'] / 1000:>8.0f} {mean['downlink_bytes'] / 1000:>8.0f}"
        f" {both / of_full:>6.0%} {mean['train_cpu_s']:>7.2f}"
        f" {mean['train_cpu_s'] / full['train_cpu_s']:>6.0%}"
        f" {mean['train_energy_estimated_j']:>8.1f} {mean['energy_estimated_j']:>7.1f}"
    )


def main() -> None:
    """Run every plan and print a row for each."""
    options = arguments(__doc__)
    torch.set_num_threads(1)
    seeds = SEEDS[:1] if options.quick else SEEDS
    print(
        f"{'plan':42} {'accuracy':24} {'points':>5} {'up kB':>8} {'down kB':>8} {'bytes':>6}"
        f" {'train s':>7} {'':>6} {'train J':>8} {'all J':>7}"
    )
    figures: dict[str, Any] = {}
    full: dict[str, float] = {}
    for plan in PLANS:
        rows = [run(plan, seed, options.quick) for seed in seeds]
        mean = figures_of(rows)
        full = full or mean
        print(line(plan, rows, full), flush=True)
        figures[plan] = {**mean, "accuracies": [row["accuracy"] for row in rows]}
    finish(options, {"seeds": len(seeds), "plans": figures})


if __name__ == "__main__":
    sys.exit(main())
