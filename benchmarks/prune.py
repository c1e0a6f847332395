"""A residual CNN in a federation: whole, with half of its channels pruned, and slim from scratch.

    python benchmarks/prune.py [--quick] [--json FILE]

Digits on 40 clients with uneven classes, 10 a round. All three train for the same 40 rounds with
the same clients, seeds and codecs; the pruned one loses its channels after half of them. Weights
travel coarse, batch norms exactly. Accuracy is that of the int8 file on 360 rows and the float
model's before conversion. --quick: one seed, few rounds; its figures show that it runs, no more.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import arguments, finish

from frugalfl.settings import Settings
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.summary import OURS, SLIM
from frugalfl_sim.simulate import simulate_app

RESIDUAL = Path(__file__).parent / "tasks" / "residual"
SETTINGS = Settings.of(
    rounds=20,
    recover_rounds=20,
    uplink="statistics(large(128, stochastic(8 sigma) | range, zstd), zstd)",
    downlink="zstd",
    prune=0.5,
)
SEEDS = (0, 1, 2)
FIGURES = ("accuracy", "accuracy_int8", "macs", "int8_bytes", "arena_bytes")


def figures_of(run: RunDirectory, federation: str, folder: str) -> dict[str, float]:
    """Return what one federation of a run ended with."""
    export = json.loads((run.path / folder / "export.json").read_text(encoding="utf-8"))
    rounds = [record for record in run.rounds if record.federation == federation]
    proof = export["verification"]["accuracy"]
    return {
        "accuracy": rounds[-1].accuracy,
        "accuracy_int8": proof["tflite_micro_int8"] or proof["litert_int8_reference"],
        **{name: export[name] for name in ("macs", "int8_bytes", "arena_bytes")},
    }


def run_seed(settings: Settings) -> dict[str, dict[str, float]]:
    """Run the three federations of one seed."""
    whole = settings.changed(
        rounds=settings.rounds.count + settings.export.recover_rounds, recover_rounds=0, prune=0.0
    )
    with tempfile.TemporaryDirectory() as folder:
        dense = simulate_app(RESIDUAL, whole, Path(folder), baseline=False)
        pruned = simulate_app(RESIDUAL, settings, Path(folder), baseline=False, slim=True)
        return {
            "whole": figures_of(dense, OURS, "model"),
            "pruned": figures_of(pruned, OURS, "model"),
            "slim": figures_of(pruned, SLIM, SLIM),
        }


def main() -> None:
    """Run all seeds and print a row a model and the two ratios that pruning promises."""
    options = arguments(__doc__)
    settings = SETTINGS.changed(rounds=3, recover_rounds=2) if options.quick else SETTINGS
    seeds = SEEDS[:1] if options.quick else SEEDS
    results = [run_seed(settings.changed(seed=seed)) for seed in seeds]
    table: dict[str, Any] = {}
    print(f"{'':8}{'float':>24}{'int8':>24}{'MACs':>12}{'file, B':>10}{'arena, B':>10}")
    for name in results[0]:
        values = {figure: [result[name][figure] for result in results] for figure in FIGURES}
        table[name] = {
            figure: {"mean": statistics.fmean(v), "low": min(v), "high": max(v)}
            for figure, v in values.items()
        }
        shares = [
            f"{mean * 100:.2f} % ({min(v) * 100:.1f} to {max(v) * 100:.1f})"
            for v in (values["accuracy"], values["accuracy_int8"])
            for mean in [statistics.fmean(v)]
        ]
        macs, file, arena = (table[name][figure]["mean"] for figure in FIGURES[2:])
        print(f"{name:8}{shares[0]:>24}{shares[1]:>24}{macs:>12,.0f}{file:>10,.0f}{arena:>10,.0f}")
    lost = 100 * (
        table["whole"]["accuracy_int8"]["mean"] - table["pruned"]["accuracy_int8"]["mean"]
    )
    fewer = table["whole"]["macs"]["mean"] / table["pruned"]["macs"]["mean"]
    print(f"pruning loses {lost:.2f} points as int8, and does {fewer:.2f} times fewer MACs")
    finish(options, {"seeds": len(seeds), "points_lost": lost, "macs_times_fewer": fewer, **table})


if __name__ == "__main__":
    sys.exit(main())
