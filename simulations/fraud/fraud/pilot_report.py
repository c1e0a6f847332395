"""What the pilot leaves: tables on the terminal, report.html, summary.json, comparison.json."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from fraud.bank import Bank
from fraud.federations import WAYS
from fraud.prepare import split_of
from frugalfl.atomic import write_atomically, write_json
from frugalfl.energy import parse_electricity
from frugalfl_sim.comparison.comparison import Cell, Comparison
from frugalfl_sim.comparison.notes import Disclosure, Notes, Preparation
from frugalfl_sim.comparison.page import write_page
from frugalfl_sim.comparison.summary_json import summary
from frugalfl_sim.comparison.terminal_table import print_comparison

_ENERGY = (
    "Joules are of the processor time of the pilot's processes, by the profile “generic”, unless "
    "this machine has a meter; those of federations are of the branches' work in all phases."
)
#: What travels in each federation beside bins and counters.
_TRAVELS = {
    "bagging": "trees of bins: splits and leaves, no counts, hessians, gains or feature ranges",
    "refit": "shapes of trees; sums of gradients and hessians in their leaves",
    "cyclic": "trees of bins, the same as bagging",
    "histogram": "sums of gradients and hessians by node, feature and bin, in whole numbers",
    "mlp": "coded updates of the network; ranges of activations for int8",
}


def write_all(
    comparison: Comparison, notes: Notes, out: Path, also: Path | None, seconds: float
) -> None:
    """Print the comparison, and write its files.

    Args:
        comparison: What was found.
        notes: What is known beside it.
        out: Folder of the files.
        also: Where the summary goes as well; ``None``: nowhere.
        seconds: What the whole pilot took (s).

    Raises:
        OSError: A file cannot be written.
    """
    figures = {"title": notes.title, "seconds": round(seconds, 1), **summary(comparison)}
    write_json(out / "summary.json", figures, shared=True)
    text = comparison.to_json()
    write_atomically(out / "comparison.json", text.encode(), shared=True)
    page = write_page(comparison, notes, out / "report.html")
    if also is not None:
        also.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print_comparison(comparison)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{seconds:.0f} s; report {page}", markup=False)


def notes_of(
    bank: Bank, comparison: Comparison, data: str, command: Sequence[str], grid: str
) -> Notes:
    """Return what the report says beside figures.

    Args:
        bank: Branches of one of the studies.
        comparison: What was found.
        data: A sentence on where the transactions are from.
        command: What was run.
        grid: Electricity, as settings write it.

    Raises:
        UsageError: There is no such electricity.
    """
    config = bank.config
    return Notes(
        title="Card fraud over the branches of a bank",
        data=data,
        command=shlex.join(["python", "simulations/fraud/pilot.py", *command]),
        disclosures=tuple(_disclosures(comparison)),
        checks=(
            "With own counters no feature is made of another branch's rows: a test plants frauds "
            "at a terminal that one branch knows alone, and no other branch's features change "
            "until counters are shared (tests/laws/test_fraud_features.py).",
        ),
        preparation=tuple(_preparation(bank, branch) for branch in range(bank.branches)),
        settings={
            "test days": str(config.test_days),
            "label delay": f"{config.label_delay_days} days",
            "training days": str(config.train_days),
            "negatives kept": f"{config.keep_negatives:.0%}",
            **{name: " ".join(way) for name, way in WAYS.items() if way},
        },
        energy=_ENERGY,
        grid=parse_electricity(grid),
    )


def _disclosures(comparison: Comparison) -> list[Disclosure]:
    """Say what was revealed to whom, with the bytes of the headline's condition."""
    split = comparison.headline.split
    found = []
    for way, what in _TRAVELS.items():
        sizes = [
            row.uplink.model
            for row in comparison.runs(comparison.headline, way)
            if row.uplink is not None
        ]
        if sizes:
            found.append(
                Disclosure(
                    what, "each branch", "server", f"each round of {way}",
                    round(sum(sizes) / len(sizes)), "always",
                )
            )  # fmt: skip
    trees = comparison.runs(comparison.headline, comparison.chosen)
    bins = trees[0].uplink.bins if trees and trees[0].uplink else None
    shared = comparison.runs(Cell(split, "shared"), comparison.chosen)
    counters = shared[0].uplink.counters if shared and shared[0].uplink else None
    given = shared[0].downlink.counters if shared and shared[0].downlink else None
    found += [
        Disclosure(
            "quantiles of each feature (no smallest and largest value), rows and frauds",
            "each branch", "server", "before trees", bins, "always",
        ),
        Disclosure(
            "hashes of its terminals; their frauds by quarter of a day",
            "each branch", "server", "before the first round", counters, "counters = shared",
        ),
        Disclosure(
            "frauds of all branches at its own terminals",
            "server", "each branch", "before the first round", given, "counters = shared",
        ),
        Disclosure(
            "labels and features of the test days", "each branch", "whoever runs this comparison",
            "evaluation", None, "simulation only",
        ),
    ]  # fmt: skip
    return found


def _preparation(bank: Bank, branch: int) -> Preparation:
    rows, prepared = bank.transactions(branch), bank.prepared(branch)
    parts = split_of(rows, bank.config)
    training = (rows.time >= parts.train_start) & (rows.time < parts.train_stop)
    counts = {
        "rows": len(rows),
        "frauds": int(rows.fraud.sum()),
        "in training days": int(training.sum()),
        "trained on": len(prepared.train),
        "frauds trained on": int(prepared.train.y.sum()),
        "tested on": len(prepared.test_y),
    }
    # That negatives were thinned out is in the counts, and nothing to remark on.
    remarks = [note for note in prepared.notes if not note.endswith("kept for training")]
    return Preparation(f"branch-{branch}", counts, (*bank.notes(branch), *remarks))
