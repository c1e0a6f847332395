"""The simulated world: its kinds of fraud, its branches, its files."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fraud.bank import bank_of
from fraud.branches import by_geography, by_spend
from fraud.config import Config
from fraud.files import load_branch
from fraud.schema import DAY, concatenate, fingerprint
from fraud.simulator import FIRST_DAY, simulate, what_to_change

from frugalfl.errors import UsageError

APP = Path(__file__).parents[2] / "simulations" / "fraud"


@pytest.fixture(scope="module")
def world():
    return simulate(seed=3)


def test_size_and_fraud_are_those_of_the_handbook(world):
    rows = world.transactions.check("simulated")
    assert 1_700_000 < len(rows) < 1_850_000
    assert 0.005 < rows.fraud.mean() < 0.01
    assert rows.day.min() == FIRST_DAY and rows.day.max() == FIRST_DAY + 182
    # 973, 9,077 and 4,631 frauds of the three kinds in the handbook's own data.
    kinds = np.bincount(world.kinds)
    assert kinds[1:] == pytest.approx([973, 9077, 4631], rel=0.15)
    assert np.array_equal(world.kinds > 0, rows.fraud == 1)


def test_what_each_kind_of_fraud_does(world):
    rows, kinds = world.transactions, world.kinds
    assert rows.amount[kinds == 1].min() >= 220
    assert np.all(rows.fraud[rows.amount > 220] == 1)
    stolen = rows.amount[kinds == 3] / world.mean_amounts[rows.card[kinds == 3]]
    assert stolen.mean() == pytest.approx(5, rel=0.1)
    # A terminal that was compromised once: 28 days of nothing but fraud.
    terminal = np.bincount(rows.terminal[kinds == 2]).argmax()
    there = rows.take(rows.terminal == terminal)
    first = there.day[there.fraud == 1].min()
    assert np.mean(there.fraud[(there.day > first) & (there.day < first + 20)]) > 0.9


def test_customers_stay_near_home(world):
    rows = world.transactions
    at_most = np.bincount(rows.card).argmax()
    assert 5 < len(np.unique(rows.terminal[rows.card == at_most])) < 150


def test_the_same_seed_makes_the_same_transactions():
    small = {"customers": 100, "terminals": 200, "days": 40}
    one, again, other = (simulate(seed, **small).transactions for seed in (1, 1, 2))
    assert fingerprint(one) == fingerprint(again) != fingerprint(other)


@pytest.mark.parametrize("seed", range(3))
def test_a_terminals_traffic_stays_in_one_branch_by_geography(world, seed):
    rows = world.transactions
    branch = by_geography(world.places, 8, seed)[rows.card]
    table = np.zeros((8, 10_000))
    np.add.at(table, (branch, rows.terminal), 1)
    assert table.max(axis=0).sum() / table.sum() > 0.9
    sizes = table.sum(axis=1)
    assert sizes.min() > 0.04 * len(rows) and sizes.max() > 1.3 * sizes.min()


def test_spend_segments_are_ordered_and_uneven(world):
    branch = by_spend(world.mean_amounts, 8)
    sizes = np.bincount(branch)
    assert np.all(np.diff(sizes) < 0) and sizes[0] == pytest.approx(10 * sizes[-1], rel=0.05)
    for low, high in zip(range(7), range(1, 8), strict=True):
        assert world.mean_amounts[branch == low].max() <= world.mean_amounts[branch == high].min()


def test_a_world_too_small_for_its_branches():
    with pytest.raises(UsageError, match="3 customers cannot make 8 branches"):
        by_geography(np.ones((3, 2)), 8, 0)
    with pytest.raises(UsageError, match="terminals is 0; it must be 1 or more"):
        simulate(terminals=0)
    # One terminal far from everybody: all go there.
    assert set(simulate(customers=5, terminals=1, days=9).transactions.terminal) == {0}


@pytest.mark.parametrize("split", ["geography", "spend"])
def test_the_command_writes_a_file_a_branch(tmp_path, split):
    command = [sys.executable, "-m", "fraud.simulator", "--out", str(tmp_path / "data"), "--seed",
               "5", "--customers", "300", "--terminals", "400", "--days", "50", "--split", split,
               "--branches", "3"]  # fmt: skip
    done = subprocess.run(command, cwd=APP, capture_output=True, text=True, check=True)
    about = json.loads((tmp_path / "data" / "branches.json").read_text())
    assert f"{about['rows']:,} transactions" in done.stdout
    parts = [load_branch(tmp_path / "data", i, Config()).transactions for i in range(3)]
    for part, said in zip(parts, about["branches"], strict=True):
        assert (len(part), fingerprint(part)) == (said["rows"], said["fingerprint"])
        assert part.fraud.sum() == said["frauds"]
    everything = concatenate(parts)
    expected = simulate(5, 300, 400, 50).transactions
    assert fingerprint(everything.take(np.argsort(everything.id))) == fingerprint(expected)
    assert expected.time.max() < (FIRST_DAY + 50) * DAY


def test_the_command_refuses_in_one_line(tmp_path):
    command = [sys.executable, "-m", "fraud.simulator", "--out", str(tmp_path), "--days", "0"]
    done = subprocess.run(command, cwd=APP, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "days is 0; it must be 1 or more\n"


@pytest.mark.parametrize(
    ("days", "told"), [(100, "set last-day = 2018-07-09 in"), (20, "of less than 20 days together")]
)
def test_days_that_do_not_fit_the_apps_pilot_are_named_with_what_to_write(days, told, tmp_path):
    command = [sys.executable, "-m", "fraud.simulator", "--out", str(tmp_path), "--days", str(days)]
    small = ["--customers", "20", "--terminals", "30", "--branches", "1"]
    done = subprocess.run([*command, *small], cwd=APP, capture_output=True, text=True, check=True)
    line = done.stdout.splitlines()[-1]
    assert told in line and line.endswith(f" in {APP / 'pilot.toml'}")
    # As it is told, it fits.
    own = (APP / "pilot.toml").read_text().replace("test-days = 24", "test-days = 4")
    last = line.split("last-day = ")[1][: len("2018-07-09")]
    (tmp_path / "pilot.toml").write_text(own.replace("2018-09-30", last))
    assert what_to_change(tmp_path / "pilot.toml", days) == ""
    assert len(bank_of(tmp_path / "pilot.toml").prepared(0, None).train)


def test_the_usual_days_fit_it():
    assert what_to_change(APP / "pilot.toml", 183) == ""
