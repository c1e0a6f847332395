"""The main job against Flower's stock FedAvg in float32: same clients, seeds and rounds.

    python benchmarks/digits.py [--quick] [--json FILE]

Prints mean and spread over the seeds of accuracy, bytes and (estimated) joules, and the int8
model that comes out. --quick: one seed, few rounds; its figures show that it runs, no more.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import arguments, finish

from frugalfl_sim.apps import read_settings
from frugalfl_sim.simulate import simulate_app

DIGITS = Path(__file__).parents[1] / "simulations" / "digits"
SEEDS = (0, 1, 2)


def run(seed: int, quick: bool) -> dict[str, Any]:
    """Run one federation and its baseline; return the figures under names with units."""
    # One client after the other, as the baseline's train: their joules are compared.
    changes = [f"seed={seed}", "engine=sequential"]
    changes += ["rounds=10", "recover-rounds=5"] if quick else []
    with tempfile.TemporaryDirectory() as folder:
        summary = simulate_app(
            DIGITS, read_settings(DIGITS, changes), Path(folder), baseline=True
        ).read_json("summary.json")
    baseline = summary["baseline"]
    total, total_float32 = (s["uplink_bytes"] + s["downlink_bytes"] for s in (summary, baseline))
    return {
        "accuracy": summary["accuracy"],
        "accuracy_float32_fedavg": baseline["accuracy"],
        "accuracy_int8_pruned": summary["accuracy_int8"],
        "uplink_bytes_per_update": summary["uplink_bytes_per_update"],
        "uplink_bytes_per_update_float32_fedavg": baseline["uplink_bytes_per_update"],
        "uplink_times_smaller": baseline["uplink_bytes_per_update"]
        / summary["uplink_bytes_per_update"],
        "total_bytes": total,
        "total_bytes_float32_fedavg": total_float32,
        "total_times_smaller": total_float32 / total,
        "energy_estimated_j": summary["energy_j"]["estimated"],
        "energy_estimated_j_float32_fedavg": baseline["energy_j"]["estimated"],
        "model_int8_bytes": summary["model"]["int8_bytes"],
        "model_arena_bytes": summary["model"]["arena_bytes"],
    }


def main() -> None:
    """Run all seeds and print the table."""
    options = arguments(__doc__)
    rows = [run(seed, options.quick) for seed in (SEEDS[:1] if options.quick else SEEDS)]
    figures = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        figures[name] = {
            "mean": statistics.fmean(values),
            "low": min(values),
            "high": max(values),
        }
        print(
            f"{name:42} {figures[name]['mean']:>14,.3f}   {min(values):,.3f} to {max(values):,.3f}"
        )
    finish(options, {"seeds": len(rows), **figures})


if __name__ == "__main__":
    sys.exit(main())
