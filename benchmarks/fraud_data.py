"""The data of the fraud pilot: time and memory of each step, bytes of counters, average precision.

    python benchmarks/fraud_data.py            # seconds, MB, bytes
    python benchmarks/fraud_data.py --ranking  # also LightGBM on the features, three seeds

Seconds are processor time of this process; the ranking is of the pooled test days, with 200 trees
of 31 leaves on a tenth of the genuine rows, learning rate 0.1, one thread.
"""

from __future__ import annotations

import argparse
import math
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "simulations" / "fraud"))

from fraud.branches import by_geography, by_spend
from fraud.config import Config
from fraud.counters import BUCKETS, counters
from fraud.files import load_branch, write_parquet
from fraud.prepare import Prepared, clean, prepare
from fraud.schema import Transactions
from fraud.simulator import World, simulate

from frugalfl.sums import answers

CONFIG = Config(first_day=date(2018, 4, 1), last_day=date(2018, 9, 30))
BRANCHES = 8
SEEDS = (1, 2, 3)
TREES = {"objective": "binary", "learning_rate": 0.1, "num_leaves": 31, "num_threads": 1,
         "verbose": -1, "deterministic": True}  # fmt: skip


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print the processor time of a block, and the peak memory so far."""
    start = time.process_time()
    yield
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what:<28} {seconds:6.2f} s   peak {peak:5.0f} MiB", flush=True)


def costs() -> None:
    """Print what each step costs with all rows in one table."""
    with timed("simulate"):
        world = simulate(SEEDS[0])
    rows = world.transactions
    with tempfile.TemporaryDirectory() as folder:
        with timed("write 1 Parquet"):
            write_parquet(rows, Path(folder) / "branch-0.parquet")
        size = (Path(folder) / "branch-0.parquet").stat().st_size
        with timed("read and check"):
            rows = load_branch(Path(folder), 0, CONFIG).transactions
    with timed("clean"):
        rows, _ = clean(rows, CONFIG)
    with timed("prepare (features, split)"):
        prepare(rows, CONFIG)
    print(f"{len(rows):,} rows, {rows.fraud.mean():.2%} fraud, {size / 1e6:.1f} MB of Parquet")


def entropy_bytes(rows: Transactions) -> tuple[float, float]:
    """Return the information in a branch's counters: its keys, its frauds (B)."""
    table = counters(rows, CONFIG)["frauds"]
    cells, full = table.counts.size, np.count_nonzero(table.counts)
    return log_choose(BUCKETS, len(table.keys)) / 8, log_choose(cells, full) / 8


def log_choose(n: int, k: int) -> float:
    """Return the bits that say which k of n."""
    return (math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)) / math.log(2)


def scores(training: list[Prepared], test: list[Prepared], seed: int) -> np.ndarray:
    """Return the scores of the test rows by trees that are trained on some branches."""
    import lightgbm

    x = np.concatenate([part.train.x for part in training])
    y = np.concatenate([part.train.y for part in training])
    trees = lightgbm.train({**TREES, "seed": seed}, lightgbm.Dataset(x, y), 200)
    return np.concatenate([trees.predict(part.test_x, num_threads=1) for part in test])


def rankings(parts: list[Prepared], seed: int) -> tuple[float, float, float]:
    """Return the average precision of one model of all rows, and of each branch's own model.

    Returns:
        Centralised; own models, all test rows ranked together; the mean over branches.
    """
    from sklearn.metrics import average_precision_score

    labels = np.concatenate([part.test_y for part in parts])
    alone = [scores([part], [part], seed) for part in parts]
    each = [
        average_precision_score(part.test_y, score)
        for part, score in zip(parts, alone, strict=True)
    ]
    return (
        float(average_precision_score(labels, scores(parts, parts, seed))),
        float(average_precision_score(labels, np.concatenate(alone))),
        float(np.mean(each)),
    )


def parts_of(world: World, split: str, seed: int) -> list[Transactions]:
    """Return the transactions of each branch."""
    if split == "geography":
        of_customer = by_geography(world.places, BRANCHES, seed)
    else:
        of_customer = by_spend(world.mean_amounts, BRANCHES)
    branch = of_customer[world.transactions.card]
    return [world.transactions.take(branch == number) for number in range(BRANCHES)]


def ranking() -> None:
    """Print the average precision with own and with shared counters, by split and seed."""
    for split in ("spend", "geography"):
        for seed in SEEDS:
            parts = parts_of(simulate(seed), split, seed)
            own = [counters(part, CONFIG) for part in parts]
            kept = {
                "own": [prepare(part, CONFIG) for part in parts],
                "shared": [
                    prepare(part, CONFIG, total)
                    for part, total in zip(parts, answers(own), strict=True)
                ],
            }
            keys, frauds = np.sum([entropy_bytes(part) for part in parts], axis=0)
            most = max(sum(entropy_bytes(part)) for part in parts)
            print(
                f"{split} seed {seed}: counters {keys / 1e3:.1f} kB of keys and "
                f"{frauds / 1e3:.1f} kB of frauds in all, {most / 1e3:.1f} kB at most"
            )
            for name, prepared in kept.items():
                together, pooled, mean = rankings(prepared, seed)
                print(
                    f"  {name:<7} centralised {together:.3f}   own models {pooled:.3f} pooled, "
                    f"{mean:.3f} mean of branches",
                    flush=True,
                )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ranking", action="store_true", help="train on the features (minutes)")
    wanted = parser.parse_args()
    costs()
    if wanted.ranking:
        ranking()


if __name__ == "__main__":
    main()
