"""The fraud pilot: every way to get a model for the branches of a bank, beside each other.

    python simulations/fraud/pilot.py                  three simulated banks of 1.7 million payments
    python simulations/fraud/pilot.py --quick          one small bank, to see that it runs
    python simulations/fraud/pilot.py --data FOLDER    your own files; FOLDER has a pilot.toml

Each seed is another bank with eight branches, divided by geography and by spend segment. Prints the
comparison, and writes report.html, summary.json and comparison.json.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from fraud.bank import Bank
from fraud.config import load_config
from fraud.federations import WAYS
from fraud.pilot_report import notes_of, write_all
from fraud.simulator import simulate, write_branches
from fraud.study import COUNTERS, Study, rows_of
from rich.console import Console

from frugalfl.atomic import open_private, write_atomically
from frugalfl.energy import parse_electricity
from frugalfl.errors import FrugalFLError, UsageError
from frugalfl_sim.comparison.comparison import Comparison
from frugalfl_sim.comparison.rows import Row

BRANCHES = 8
#: Divisions of a simulated bank; the first is the headline's.
SPLITS = ("geography", "spend")
#: Customers of a simulated bank: about 350 payments each in half a year.
CUSTOMERS, FEW_CUSTOMERS = 5_000, 1_200


@dataclass(frozen=True)
class Job:
    """What one process does: one bank under one division.

    Attributes:
        seed: Of the bank and of the training.
        split: One of :data:`SPLITS`, or ``own``.
        data: Folder with the user's own files; ``None``: a bank is simulated.
        customers: Of a simulated one.
        out: Folder for everything that is written.
        ways: Federations to run.
        every_row: Also train centralised trees without leaving negatives out.
    """

    seed: int
    split: str
    data: Path | None
    customers: int
    out: Path
    ways: tuple[str, ...]
    every_row: bool


def run(job: Job) -> list[Row]:
    """Do one job in a process of its own; what it says goes to standard error."""
    out = job.out / f"{job.split}-{job.seed}"
    out.mkdir(parents=True, exist_ok=True)
    console = Console(file=os.fdopen(os.dup(2), "w", encoding="utf-8"), highlight=False)
    log = open_private(out / "log.txt", os.O_WRONLY | os.O_TRUNC)
    for stream in (1, 2):  # rounds of many federations at once are nothing to read along
        os.dup2(log, stream)
    settings = _settings(job)
    if job.data is None:
        world = simulate(job.seed, job.customers)
        write_branches(world, settings.parent, job.split, BRANCHES, job.seed)
        write_atomically(settings, (Path(__file__).parent / "pilot.toml").read_bytes(), shared=True)
    config = load_config(settings)
    can_share = config.has_terminal and config.first_day and config.last_day
    study = Study(
        settings, job.split, job.seed, COUNTERS if can_share else COUNTERS[:1], job.ways,
        job.every_row, out / "runs",
    )  # fmt: skip
    return list(rows_of(study, console.print))


def _settings(job: Job) -> Path:
    """Return the ``pilot.toml`` of a job's branches."""
    folder = job.out / f"{job.split}-{job.seed}" / "data" if job.data is None else job.data
    return (folder / "pilot.toml").resolve()


def _data(jobs: Sequence[Job]) -> str:
    if jobs[0].data is not None:
        return f"The files of {jobs[0].data}."
    return (
        f"Simulated: {jobs[0].customers:,} customers, half a year, three kinds of fraud, "
        f"{len({job.seed for job in jobs})} banks of {BRANCHES} branches; this page shows the "
        "preparation of the first."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, run the jobs, print and write what they found."""
    options = _parser().parse_args(arguments)
    began = time.monotonic()
    try:
        jobs = _jobs(options)
        parse_electricity(options.grid)
        comparison = Comparison(tuple(_done(jobs, options.jobs)), options.chosen)
        given = sys.argv[1:] if arguments is None else list(arguments)
        notes = notes_of(Bank(_settings(jobs[0])), comparison, _data(jobs), given, options.grid)
        write_all(comparison, notes, options.out, options.json, time.monotonic() - began)
    except FrugalFLError as error:
        print(f"error: {error}", file=sys.stderr)
        if options.debug:
            raise
        return error.exit_code
    return 0


def _done(jobs: Sequence[Job], processes: int) -> list[Row]:
    """Run the jobs, some at once; return their rows in the order of the jobs."""
    found: dict[Job, list[Row]] = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, max_tasks_per_child=1) as pool:
        waiting = {pool.submit(run, job): job for job in jobs}
        try:
            for future in as_completed(waiting):
                found[waiting[future]] = future.result()
        except BaseException:
            for future in waiting:
                future.cancel()
            raise
    return [row for job in jobs for row in found[job]]


def _jobs(options: argparse.Namespace) -> list[Job]:
    ways = tuple(options.ways.split(","))
    for way in ways:
        if way not in WAYS:
            raise UsageError(f"there is no federation {way!r}; known: {', '.join(WAYS)}")
    if options.chosen not in ways:
        raise UsageError(f"--chosen is {options.chosen!r}, which is not among --ways")
    if options.data is not None and not (options.data / "pilot.toml").is_file():
        raise UsageError(
            f"{options.data} has no pilot.toml, which says what its files and columns are called; "
            "copy simulations/fraud/pilot.toml"
        )
    splits = SPLITS if options.data is None else ("own",)
    count = 1 if options.quick else options.seeds
    customers = FEW_CUSTOMERS if options.quick else CUSTOMERS
    seeds = range(options.first_seed, options.first_seed + count)
    return [
        Job(seed, split, options.data, customers, options.out, ways, split == splits[0])
        for seed in seeds
        for split in splits
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="one small bank, to see that it runs")
    add("--data", type=Path, metavar="FOLDER", help="your own branches' files, and a pilot.toml")
    add("--out", type=Path, default=Path("runs/fraud"), help="folder for results [%(default)s]")
    add("--seeds", type=int, default=3, help="how many banks or trainings [%(default)s]")
    add("--first-seed", type=int, default=0, help="their first seed [%(default)s]")
    add("--ways", default=",".join(WAYS), help="federations, commas between [%(default)s]")
    add("--chosen", default="refit", help="what the headline is about [%(default)s]")
    add("--jobs", type=int, default=min(os.cpu_count() or 1, 2), help="at once [%(default)s]")
    add("--grid", default="", help="electricity, for grams of CO2e: ES, world, 120 g/kWh")
    add("--json", type=Path, metavar="FILE", help="also write summary.json there")
    add("--debug", action="store_true", help="show where an error comes from")
    return parser


if __name__ == "__main__":
    sys.exit(main())
