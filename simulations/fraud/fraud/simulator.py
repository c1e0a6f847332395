"""Simulated card transactions with three kinds of fraud, the same for the same seed.

The world is that of the public Fraud Detection Handbook (Le Borgne et al., ULB, 2022, chapter 3),
written anew from its description: customers and terminals on a square of 100 by 100, each customer
with a mean amount, a number of transactions a day and the terminals within reach; fraud is

1. every amount above 220;
2. every transaction at a compromised terminal: two more each day, for 28 days;
3. a third of the transactions of a compromised customer, at five times the amount: three more
   customers each day, for 14 days.

``python -m fraud.simulator --out data --seed 1`` writes one Parquet a branch.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fraud.branches import SPLITS, by_geography, by_spend
from fraud.config import day_of, load_config
from fraud.files import write_parquet
from fraud.schema import DAY, Transactions, empty_extra, fingerprint
from frugalfl.errors import UsageError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: What the app reads unless it is told otherwise.
_PILOT = Path(__file__).parents[1] / "pilot.toml"
#: 2018-04-01, the first day of the handbook's data.
FIRST_DAY = 17_622
_SIDE = 100.0
_NOON, _SPREAD_S = 43_200.0, 20_000.0
_LARGE_AMOUNT = 220.0
_TERMINALS_A_DAY, _TERMINAL_DAYS = 2, 28
_CARDS_A_DAY, _CARD_DAYS, _CARD_SHARE, _CARD_FACTOR = 3, 14, 1 / 3, 5.0


@dataclass(frozen=True)
class World:
    """What is simulated, and its transactions.

    Attributes:
        places: Where customers live, float64 (customers, 2).
        mean_amounts: Of each customer, float64 (customers,).
        transactions: All of them; ``card`` is the customer's number.
        kinds: Kind of fraud of each, 1 to 3, or 0: int8 (n,).
    """

    places: Floats
    mean_amounts: Floats
    transactions: Transactions
    kinds: npt.NDArray[np.int8]


def simulate(
    seed: int = 0,
    customers: int = 5_000,
    terminals: int = 10_000,
    days: int = 183,
    radius: float = 5.0,
    first_day: int = FIRST_DAY,
) -> World:
    """Make transactions.

    Args:
        seed: Same seed, same transactions.
        customers: About 350 transactions each in half a year.
        terminals: On the same square.
        days: How long.
        radius: How far a customer goes to a terminal; the nearest one where there is none so near.
        first_day: Days since 1970-01-01.

    Returns:
        Customers, and their transactions in the order of time.

    Raises:
        UsageError: A count below 1.
    """
    for name, count in (("customers", customers), ("terminals", terminals), ("days", days)):
        if count < 1:
            raise UsageError(f"{name} is {count}; it must be 1 or more")
    rng = np.random.default_rng(seed)
    places = rng.uniform(0, _SIDE, (customers, 2))
    shops = rng.uniform(0, _SIDE, (terminals, 2))
    mean_amounts = rng.uniform(5, 100, customers)
    a_day = rng.uniform(0, 4, customers)
    first, reachable = _within_reach(places, shops, radius)

    counts = rng.poisson(a_day, (days, customers))
    card = np.repeat(np.tile(np.arange(customers), days), counts.ravel())
    day = np.repeat(np.arange(days), counts.sum(axis=1))
    moment = rng.normal(_NOON, _SPREAD_S, len(card))
    within = (moment >= 0) & (moment < DAY)
    card, day, second = card[within], day[within], moment[within].astype(np.int64)
    order = np.argsort(day * DAY + second, kind="stable")
    card, day, second = card[order], day[order], second[order]

    mean = mean_amounts[card]
    amount: Floats = rng.normal(mean, mean / 2)
    amount = np.where(amount < 0, rng.uniform(0, 2 * mean), amount)
    near = np.diff(first)[card]
    terminal = reachable[first[card] + (rng.uniform(size=len(card)) * near).astype(np.int64)]

    bad_shops = _compromised(rng, terminals, days, _TERMINALS_A_DAY, _TERMINAL_DAYS)
    bad_cards = _compromised(rng, customers, days, _CARDS_A_DAY, _CARD_DAYS)
    kinds = np.zeros(len(card), np.int8)
    stolen = bad_cards[card, day] & (rng.uniform(size=len(card)) < _CARD_SHARE)
    kinds[amount > _LARGE_AMOUNT] = 1
    kinds[bad_shops[terminal, day]] = 2
    kinds[stolen] = 3
    amount = np.where(stolen, amount * _CARD_FACTOR, amount).round(2)
    transactions = Transactions(
        id=np.arange(len(card), dtype=np.int64),
        time=(first_day + day) * DAY + second,
        card=card.astype(np.int64),
        terminal=terminal,
        amount=amount,
        fraud=(kinds > 0).astype(np.int8),
        extra=empty_extra(len(card)),
    )
    return World(places, mean_amounts, transactions, kinds)


def _within_reach(places: Floats, shops: Floats, radius: float) -> tuple[Integers, Integers]:
    """Return where each customer's terminals begin in a list of terminals, and that list."""
    reachable, counts = [], []
    for start in range(0, len(places), 256):  # the table of all distances would be 400 MB
        away = ((places[start : start + 256, None] - shops[None]) ** 2).sum(axis=2)
        near = away <= radius**2
        lonely = np.flatnonzero(~near.any(axis=1))
        near[lonely, away[lonely].argmin(axis=1)] = True
        counts.append(near.sum(axis=1))
        reachable.append(np.nonzero(near)[1])
    return np.concatenate([[0], np.cumsum(np.concatenate(counts))]), np.concatenate(reachable)


def _compromised(
    rng: np.random.Generator, many: int, days: int, a_day: int, lasting: int
) -> npt.NDArray[np.bool_]:
    """Return who is compromised on which day, bool (many, days)."""
    bad = np.zeros((many, days), np.bool_)
    for day in range(days):
        bad[rng.choice(many, min(a_day, many), replace=False), day : day + lasting] = True
    return bad


def write_branches(world: World, out: Path, split: str, branches: int, seed: int) -> dict[str, Any]:
    """Write a Parquet for each branch, and ``branches.json``; return what that says.

    Args:
        world: What :func:`simulate` made.
        out: Folder; made where it is missing.
        split: ``geography`` or ``spend``.
        branches: How many.
        seed: Of the division by geography.

    Raises:
        UsageError: More branches than customers.
    """
    if split == "geography":
        of_customer = by_geography(world.places, branches, seed)
    else:
        of_customer = by_spend(world.mean_amounts, branches)
    out.mkdir(parents=True, exist_ok=True)
    rows = world.transactions
    branch_of = of_customer[rows.card]
    found = []
    for branch in range(branches):
        mine, path = rows.take(branch_of == branch), out / f"branch-{branch}.parquet"
        write_parquet(mine, path)
        found.append(
            {
                "file": path.name,
                "rows": len(mine),
                "frauds": int(mine.fraud.sum()),
                "mean_amount": round(float(mine.amount.mean()), 2),
                "bytes": path.stat().st_size,
                "fingerprint": fingerprint(mine),
            }
        )
    about = {
        "seed": seed, "split": split,
        "first_day": str(day_of(int(rows.day.min()))), "last_day": str(day_of(int(rows.day.max()))),
        "rows": len(rows), "frauds": int(rows.fraud.sum()), "branches": found,
    }  # fmt: skip
    (out / "branches.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return about


def _write(
    out: Path, seed: int, customers: int, terminals: int, days: int, split: str, branches: int
) -> None:
    """Simulate, split, write, and say what was written."""
    print(f"simulating {customers:,} customers over {days} days ...", flush=True)
    world = simulate(seed, customers, terminals, days)
    about = write_branches(world, out, split, branches, seed)
    for one in about["branches"]:
        print(
            f"  {out / one['file']}  {one['rows']:>9,} rows  {one['frauds']:>6,} frauds"
            f"  {one['bytes'] / 1e6:.1f} MB"
        )
    rows, frauds = about["rows"], about["frauds"]
    print(f"{rows:,} transactions, {frauds / rows:.2%} fraud; {out / 'branches.json'}")
    beside = out / _PILOT.name
    if line := what_to_change(beside if beside.is_file() else _PILOT, days):
        print(line)


def what_to_change(pilot: Path, days: int) -> str:
    """Say what a ``pilot.toml`` has to say otherwise of so many days; empty: it fits.

    Raises:
        UsageError: The file is none.
    """
    config, first, last = load_config(pilot), day_of(FIRST_DAY), day_of(FIRST_DAY + days - 1)
    changes = []
    if config.first_day not in (None, first):
        changes.append(f"first-day = {first}")
    if config.last_day not in (None, last):
        changes.append(f"last-day = {last}")
    if config.test_days + config.label_delay_days >= days:
        changes.append(f"test-days and label-delay-days of less than {days} days together")
    if not changes:
        return ""
    return f"the data are of {first} to {last}: set {', '.join(changes)} in {pilot}"


def main() -> None:
    """Read the command line; see ``--help``."""
    parser = argparse.ArgumentParser(
        prog="python -m fraud.simulator",
        description="Simulate card transactions with fraud, and write one Parquet a branch.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same files")
    parser.add_argument("--customers", type=int, default=5_000)
    parser.add_argument("--terminals", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=183)
    parser.add_argument("--split", choices=SPLITS, default="geography", help="what a branch is")
    parser.add_argument("--branches", type=int, default=8)
    try:
        _write(**vars(parser.parse_args()))
    except UsageError as error:
        parser.exit(error.exit_code, f"{error}\n")


if __name__ == "__main__":
    main()
