"""Accuracy against all bytes, both ways: ours and what others do, against float32 FedAvg.

    python benchmarks/communication.py [--quick] [--json FILE] [--plot FILE.svg]
    python benchmarks/communication.py --reuse FILE --tasks digits --cohorts 10 --schemes ours

For each scheme, the bytes until a test accuracy is reached: 95 % on digits, one point below
float32's own best final accuracy on the other tasks; how many times fewer that is than Flower's
FedAvg in float32 needs; and the final accuracy (mean of the last ten rounds). Means of the seeds.

The same model, clients, rows, sampling, seeds, local training and rounds for all; float32 with its
best step size of the grid, every other scheme with the same one, or, on digits, with the best of
that one and the two beside it. Best is: fewest bytes to the target on all seeds; with --choose-on
step sizes are chosen on those seeds, and the figures are of the others. All bytes are lengths of
what is really encoded and decoded, whole frames for ours; a client that missed rounds pays for all
that it missed.

--quick: one seed, one step size, few rounds; its figures show that it runs, no more.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch
from common import finish, parser_of
from schemes.catalogue import CATALOGUE, FLOAT32, OURS, OURS_SETTINGS, Entry
from schemes.cells import Cell, Key, cell, earlier_cells
from schemes.curve import Curve, Watch
from schemes.federations import Product, run
from schemes.figure import figure
from schemes.progress import Progress
from schemes.search import Best, RunAt, best_rate, every_rate, score
from schemes.summary import summary_of
from schemes.table import show

from frugalfl.errors import UsageError
from frugalfl.settings import Settings

HERE = Path(__file__).parent
#: Step sizes tried for float32.
RATES = (0.02, 0.05, 0.07, 0.1, 0.14)
QUICK_RATES, QUICK_ROUNDS = (0.05,), 4
#: Settings of ours that the command line may change.
OURS_KEYS = ("uplink", "downlink", "sampling", "refresh")


@dataclass(frozen=True)
class Workload:
    """A task and how it is trained.

    Attributes:
        app: Folder with its ``task.py``.
        clients: How many share its rows.
        target: Test accuracy to reach; ``None``: one point below float32's final one.
        rounds: By cohort size.
        neighbours: Step sizes beside float32's best one that every other scheme tries.
    """

    app: Path
    clients: int
    target: float | None
    rounds: dict[int, int]
    neighbours: int


WORKLOADS = {
    "digits": Workload(
        HERE.parent / "simulations" / "digits", 40, 0.95, {10: 80, 3: 200}, neighbours=2
    ),
    "cancer": Workload(HERE / "tasks" / "cancer", 30, None, {10: 60, 3: 120}, neighbours=0),
    "sensor": Workload(HERE / "tasks" / "sensor", 40, None, {10: 60, 3: 150}, neighbours=0),
}
COHORTS = (10, 3)


@dataclass(frozen=True)
class Bench:
    """What all cells of one benchmark run share."""

    seeds: Sequence[int]
    choose_on: Sequence[int]
    rates: Sequence[float]
    quick: bool
    progress: Progress

    def best(self, run_at: RunAt, rates: Sequence[float], target: float) -> Best:
        """Run all seeds with the best of some step sizes."""
        if list(self.choose_on) == list(self.seeds) or len(rates) == 1:
            return best_rate(run_at, rates, self.seeds, target)
        chosen = best_rate(run_at, rates, self.choose_on, target).rate
        return best_rate(run_at, [chosen], self.seeds, target)

    def rounds(self, task: str, cohort: int) -> int:
        """Return how many rounds a federation has."""
        return _rounds(task, cohort, self.quick)

    def runner(self, task: str, cohort: int, name: str, entry: Entry) -> RunAt:
        """Return what runs a scheme's federation with a step size and a seed."""
        workload, rounds = WORKLOADS[task], self.rounds(task, cohort)

        def run_at(rate: float, seed: int, watch: Watch) -> Curve:
            settings = Settings.of(
                seed=seed, initial="seeded", rounds=rounds, clients=workload.clients,
                clients_per_round=cohort, learning_rate=rate, final_learning_rate=rate / 5,
                prune=0.0,
            )  # fmt: skip
            return self.progress.follow(
                f"{task}, {cohort} a round, {name}, step {rate:g}, seed {seed}",
                rounds,
                lambda look: run(entry.scheme, settings, workload.app, look),
                watch,
            )

        return run_at


def float32_cell(bench: Bench, task: str, cohort: int) -> Cell:
    """Find float32's best step size; the target follows from it where the task names none."""
    run_at = bench.runner(task, cohort, FLOAT32, CATALOGUE[FLOAT32])
    target = WORKLOADS[task].target
    if target is not None:
        best = bench.best(run_at, _outwards(bench.rates, len(bench.rates) // 2), target)
        return cell(task, cohort, FLOAT32, best, target, bench.rounds(task, cohort))
    found = every_rate(run_at, bench.rates, bench.choose_on)
    target = max(fmean(c.final for c in each.curves) for each in found) - 0.01
    best = min(found, key=lambda each: score(each.curves, target))
    if list(bench.choose_on) != list(bench.seeds):
        best = best_rate(run_at, [best.rate], bench.seeds, target)
        target = fmean(curve.final for curve in best.curves) - 0.01
    return cell(task, cohort, FLOAT32, best, target, bench.rounds(task, cohort))


def scheme_cell(bench: Bench, float32: Cell, name: str, entry: Entry) -> Cell:
    """Run a scheme with float32's step size and those beside it."""
    task, cohort = float32["task"], float32["cohort"]
    tried = 1 + WORKLOADS[task].neighbours
    rates = _outwards(bench.rates, bench.rates.index(float32["learning_rate"]))[:tried]
    run_at = bench.runner(task, cohort, name, entry)
    best = bench.best(run_at, rates, float32["target"])
    return cell(task, cohort, name, best, float32["target"], bench.rounds(task, cohort))


def _outwards(rates: Sequence[float], start: int) -> list[float]:
    """Return the step sizes, the nearest to the one at ``start`` first."""
    return sorted(rates, key=lambda rate: abs(rates.index(rate) - start))


def _options() -> argparse.Namespace:
    """Read the command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the curves into an SVG")
    parser.add_argument("--tasks", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--cohorts", nargs="+", type=int, choices=COHORTS, default=COHORTS)
    parser.add_argument("--schemes", nargs="+", choices=CATALOGUE, default=list(CATALOGUE))
    parser.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2))
    parser.add_argument(
        "--choose-on", nargs="+", type=int, metavar="SEED",
        help="choose step sizes on these seeds (default: on those of --seeds)",
    )  # fmt: skip
    parser.add_argument(
        "--reuse", type=Path, metavar="FILE",
        help="keep an earlier run's figures (--json) of all that is not run again",
    )  # fmt: skip
    for key in OURS_KEYS:
        parser.add_argument(f"--{key}", metavar="TEXT", help=f"{key} of ours, not the default")
    options = parser.parse_args()
    if options.quick:
        options.seeds = options.seeds[:1]
    options.choose_on = options.choose_on or options.seeds
    return options


def main() -> int:
    """Run the chosen cells; print a table for each task and cohort."""
    options = _options()
    try:
        _run(options)
    except UsageError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _run(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    changes = {key: getattr(options, key) for key in OURS_KEYS if getattr(options, key)}
    catalogue = CATALOGUE | {OURS: Entry(Product(OURS_SETTINGS | changes), "ours", "ours")}
    pairs = [(task, cohort) for task in options.tasks for cohort in options.cohorts]
    schemes = [name for name in options.schemes if name != FLOAT32]
    cells: dict[Key, Cell] = {}
    if options.reuse:
        cells = earlier_cells(options.reuse, options.seeds, options.choose_on, options.quick)
        cells = {
            key: c for key, c in cells.items() if c["rounds"] == _rounds(*key[:2], options.quick)
        }
    lacking = [
        pair for pair in pairs if FLOAT32 in options.schemes or (*pair, FLOAT32) not in cells
    ]
    progress = Progress(
        sum(_work(*pair) for pair in lacking) + sum(_work(*pair) for pair in pairs) * len(schemes)
    )
    rates = QUICK_RATES if options.quick else RATES
    bench = Bench(options.seeds, options.choose_on, rates, options.quick, progress)
    for task, cohort in pairs:
        if (task, cohort) in lacking:
            cells[task, cohort, FLOAT32] = float32_cell(bench, task, cohort)
            progress.cell_done(_work(task, cohort))
        float32 = cells[task, cohort, FLOAT32]
        for name in schemes:
            cells[task, cohort, name] = scheme_cell(bench, float32, name, catalogue[name])
            progress.cell_done(_work(task, cohort))
        show([cells[task, cohort, name] for name in CATALOGUE if (task, cohort, name) in cells])
        # After every table, so that an hour's work is not lost to Ctrl-C.
        told = [{**one, "text": CATALOGUE[one["scheme"]].text} for one in cells.values()]
        about = {
            "seeds": list(options.seeds), "chosen_on": list(options.choose_on), "cells": told,
        }  # fmt: skip
        finish(options, about | {"summary": summary_of(cells.values())})
        if options.plot is not None:
            options.plot.write_text(figure(list(cells.values())), encoding="utf-8")


def _rounds(task: str, cohort: int, quick: bool) -> int:
    return QUICK_ROUNDS if quick else WORKLOADS[task].rounds[cohort]


def _work(task: str, cohort: int) -> int:
    """Return how much there is to do in a cell: local trainings of a seed."""
    return cohort * WORKLOADS[task].rounds[cohort]


if __name__ == "__main__":
    sys.exit(main())
