"""A task's table on standard output."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from frugalfl.sizes import size_text
from schemes.catalogue import CATALOGUE
from schemes.cells import Cell


def show(cells: Sequence[Cell]) -> None:
    """Print the table of a task with a cohort; float32 comes first."""
    float32 = cells[0]
    print(
        f"\n{float32['task']}, {float32['cohort']} clients a round, {float32['rounds']} rounds: "
        f"bytes until {float32['target']:.1%}\n"
        f"{'':14}{'step':>5} {'rounds':>7} {'bytes':>10} {'x':>6}   {'for 3 rounds':>12} {'x':>6}"
        f"   {'up':>9} {'down':>9}   final accuracy"
    )
    for row in cells:
        low, high = min(row["accuracy"]), max(row["accuracy"])
        print(
            f"{row['scheme']:14}{row['learning_rate']:>5g} {_rounds(row):>7}"
            f" {_bytes_and_ratio(row, float32, 'first'):>17}"
            f"   {_bytes_and_ratio(row, float32, 'held'):>19}"
            f"   {size_text(row['up_bytes_per_update']):>9}"
            f" {size_text(row['down_bytes_per_client']):>9}"
            f"   {fmean(row['accuracy']):.3f} ({low:.3f} to {high:.3f})"
            f"   {CATALOGUE[row['scheme']].text}",
            flush=True,
        )


def _rounds(row: Cell) -> str:
    rounds = row["first"]["rounds"]
    reached = [number for number in rounds if number is not None]
    if len(reached) < len(rounds):
        return f"{len(reached)} of {len(rounds)}"
    return f"{fmean(reached):.1f}"


def _bytes_and_ratio(row: Cell, float32: Cell, what: str) -> str:
    ours, theirs = row[what]["mean_bytes"], float32[what]["mean_bytes"]
    if ours is None:
        return "never"
    ratio = f"{theirs / ours:.1f}" if theirs is not None else ""
    return f"{size_text(ours):>10} {ratio:>6}"
