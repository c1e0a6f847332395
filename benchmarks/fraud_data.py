"""The fraud pilot's data: processor time and peak memory of each step, and bytes of the counters.

python benchmarks/fraud_data.py [--quick] [--json FILE]
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from common import arguments, finish

sys.path.insert(0, str(Path(__file__).parents[1] / "simulations" / "fraud"))

from fraud.branches import by_spend
from fraud.config import Config
from fraud.counters import counters
from fraud.files import load_branch, write_parquet
from fraud.prepare import clean, prepare
from fraud.simulator import simulate

from frugalfl.sums import pack_tables

CONFIG = Config(first_day=date(2018, 4, 1), last_day=date(2018, 9, 30))
BRANCHES = 8


@contextmanager
def timed(what: str, into: dict[str, Any]) -> Iterator[None]:
    """Print and keep the processor time of a block, and the peak memory so far."""
    start = time.process_time()
    yield
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what:<28} {seconds:6.2f} s   peak {peak:5.0f} MiB", flush=True)
    into[what] = {"cpu_s": seconds, "peak_mib": peak}


def costs(customers: int) -> dict[str, Any]:
    """Print and return what each step costs with all rows in one table."""
    figures: dict[str, Any] = {}
    with timed("simulate", figures):
        world = simulate(0, customers)
    rows = world.transactions
    with tempfile.TemporaryDirectory() as folder:
        with timed("write 1 Parquet", figures):
            write_parquet(rows, Path(folder) / "branch-0.parquet")
        size = (Path(folder) / "branch-0.parquet").stat().st_size
        with timed("read and check", figures):
            rows = load_branch(Path(folder), 0, CONFIG).transactions
    with timed("clean", figures):
        rows, _ = clean(rows, CONFIG)
    with timed("prepare (features, split)", figures):
        prepare(rows, CONFIG)
    branch_of = by_spend(world.mean_amounts, BRANCHES)[rows.card]
    packed = [
        len(pack_tables(counters(rows.take(branch_of == branch), CONFIG)))
        for branch in range(BRANCHES)
    ]
    figures |= {"rows": len(rows), "fraud": float(rows.fraud.mean()), "parquet_bytes": size}
    figures["counters_bytes"] = packed
    print(f"{len(rows):,} rows, {rows.fraud.mean():.2%} fraud, {size / 1e6:.1f} MB of Parquet")
    print(f"counters of {BRANCHES} branches by spend: {sum(packed):,} B, {max(packed):,} at most")
    return figures


def main() -> None:
    """Measure, print, write."""
    options = arguments(__doc__)
    finish(options, costs(600 if options.quick else 5_000))


if __name__ == "__main__":
    main()
