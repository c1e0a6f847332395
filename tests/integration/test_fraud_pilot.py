"""The fraud pilot on a bank's own files: what it says to mistakes, and what it goes on with."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pilot
import pyarrow as pa
import pytest
from fraud.bank import Bank
from fraud.files import write_parquet
from fraud.pilot_report import notes_of, write_all
from fraud.study import Study, rows_of
from fraud_tables import FIRST, LAST, random_table
from pyarrow import parquet

from frugalfl.errors import MissingExtraError, TaskError
from frugalfl_sim.comparison.comparison import Comparison

pytest.importorskip("lightgbm")
FRAUD = Path(pilot.__file__).parent
SETTINGS = f"""
first-day = {FIRST}
last-day = {LAST}
train-days = 30
test-days = 15
keep-negatives = 0.5
"""


def bank(folder, *branches, settings=SETTINGS):
    """Write each branch's transactions, and the pilot's settings; return these."""
    folder.mkdir(exist_ok=True)
    for number, transactions in enumerate(branches):
        write_parquet(transactions, folder / f"branch-{number}.parquet")
    (folder / "pilot.toml").write_text(settings)
    return folder / "pilot.toml"


def genuine(table):
    return replace(table, fraud=np.zeros_like(table.fraud))


def study(settings, runs, **changes):
    given = {"ways": ("refit",), "every_row": False, "counters": ("local",)} | changes
    return Study(settings, "own", 0, runs=runs, **given)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--data", "{}"], "has no pilot.toml, which says what its files and columns are called"),
        (["--ways", "refit,forest"], "there is no federation 'forest'; known: bagging, refit,"),
        (["--ways", "mlp"], "--chosen is 'refit', which is not among --ways"),
        (["--grid", "nowhere"], "nowhere"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(arguments, says, tmp_path, capsys):
    assert pilot.main([one.format(tmp_path) for one in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and says in error
    assert error.count("\n") == 1


def without_a_column(path):
    parquet.write_table(parquet.read_table(path).drop_columns(["terminal"]), path)


def of_a_wrong_type(path):
    table = parquet.read_table(path)
    words = pa.array([f"about {number}" for number in range(len(table))])
    place = table.column_names.index("amount")
    parquet.write_table(table.set_column(place, "amount", words), path)


def of_no_table(path):
    path.write_bytes(b"PAR1 and nothing else")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (
            without_a_column,
            "branch-1.parquet: there is no column 'terminal', only time, amount, fraud,",
        ),
        (of_a_wrong_type, "branch-1.parquet: column amount, row 1 of the data: 'about 0' is not a"),
        (of_no_table, "branch-1.parquet: cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line_that_names_it(spoil, says, tmp_path):
    settings = bank(tmp_path / "bank", random_table(600), random_table(600, 1))
    spoil(tmp_path / "bank" / "branch-1.parquet")
    with pytest.raises(TaskError) as error:
        list(rows_of(study(settings, tmp_path / "runs"), print))
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_no_fraud_at_all_is_one_line(tmp_path):
    tables = [genuine(random_table(600, seed)) for seed in range(2)]
    settings = bank(tmp_path / "bank", *tables)
    with pytest.raises(TaskError, match=r"^no fraud among .* of 2 branches: nothing to learn"):
        list(rows_of(study(settings, tmp_path / "runs"), print))


def test_no_file_is_one_line(tmp_path):
    settings = bank(tmp_path / "bank")
    with pytest.raises(TaskError, match=r"branch-0\.parquet: there is no such file; see files in"):
        list(rows_of(study(settings, tmp_path / "runs"), print))


def test_the_command_says_so_and_what_to_do(tmp_path):
    """In a process of its own, whose workers' errors come through."""
    bank(tmp_path / "bank", random_table(600))
    without_a_column(tmp_path / "bank" / "branch-0.parquet")
    result = subprocess.run(
        [sys.executable, pilot.__file__, "--data", tmp_path / "bank", "--ways", "refit",
         "--seeds", "1", "--out", tmp_path / "out"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == TaskError.exit_code
    assert result.stderr == (
        "error: branch-0.parquet: there is no column 'terminal', only time, amount, fraud, id, "
        "card; add it, or name another one under [columns] in pilot.toml\n"
    )


def test_a_missing_package_comes_out_of_a_worker_as_one_line():
    missing = MissingExtraError("training trees with LightGBM", "fraud")
    again = pickle.loads(pickle.dumps(missing))
    assert str(again) == str(missing) and again.extra == "fraud"


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Three branches: unsorted, without any fraud, and as it should be; and the comparison."""
    folder = tmp_path_factory.mktemp("odd")
    tables = [random_table(1500, seed) for seed in range(3)]
    tables[1] = genuine(tables[1])
    settings = bank(folder / "bank", *tables)
    first = folder / "bank" / "branch-0.parquet"
    mixed = parquet.read_table(first).take(np.random.default_rng(0).permutation(1500))
    parquet.write_table(mixed, first)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRUGALFL_FRAUD", "")  # and what it was, afterwards
        patch.setenv("FRUGALFL_HOME", str(folder))
        rows = list(
            rows_of(study(settings, folder / "runs", counters=("local", "shared")), lambda _: None)
        )
    return settings, Comparison(tuple(rows), "refit")


def test_unsorted_time_and_a_branch_of_one_class_are_handled_and_said_so(odd):
    settings, comparison = odd
    notes = notes_of(Bank(settings), comparison, "data", [], "").preparation
    assert [one.counts["frauds trained on"] > 0 for one in notes] == [True, False, True]
    assert any("order" in line or "sorted" in line for line in notes[0].remarks)
    assert "no fraud in the training days: this branch gives genuine rows only" in notes[1].remarks
    assert not any("order" in line or "sorted" in line for line in notes[2].remarks)


def test_every_method_is_measured_with_own_and_with_shared_counters(odd):
    rows = odd[1].rows
    for counters in ("local", "shared"):
        found = [(row.method, row.branch) for row in rows if row.counters == counters]
        assert found == [
            ("central", None), *(("alone", f"branch-{number}") for number in range(3)),
            ("alone", None), ("refit", None),
        ]  # fmt: skip
        (refit,) = [row for row in rows if (row.counters, row.method) == (counters, "refit")]
        assert refit.rounds == 5
        assert refit.uplink.model > 0 and refit.uplink.bins > 0
        assert (
            (refit.uplink.counters > 0) == (refit.downlink.counters > 0) == (counters == "shared")
        )
        assert (refit.training.estimated or 0) + (refit.training.measured or 0) > 0
        assert refit.model_bytes > 0


def test_what_was_revealed_is_said_with_its_bytes(odd):
    settings, comparison = odd
    told = notes_of(Bank(settings), comparison, "data", [], "").disclosures
    by_when = {(one.what.split(";")[0].split(" (")[0], one.to) for one in told}
    assert ("hashes of its terminals", "server") in by_when
    assert ("frauds of all branches at its own terminals", "each branch") in by_when
    assert ("shapes of trees", "server") in by_when


def test_its_files_are_written(odd, tmp_path, capsys):
    settings, comparison = odd
    notes = notes_of(Bank(settings), comparison, "Three odd branches.", ["--data", "x"], "ES")
    write_all(comparison, notes, tmp_path, tmp_path / "also.json", 12.0)
    figures = json.loads((tmp_path / "summary.json").read_text())
    assert figures == json.loads((tmp_path / "also.json").read_text())
    for name in ("average_precision", "uplink_bytes", "rounds", "energy_j", "models"):
        assert figures[name].keys() == {"central", "alone", "refit"}
    assert 0 < figures["uplink_bytes"]["refit"] < 600_000
    page = (tmp_path / "report.html").read_text()
    assert "Three odd branches." in page and "shapes of trees" in page
    assert "genuine rows only" in page and "order of time" in page
    assert "report" in capsys.readouterr().out


def test_a_copy_of_the_app_is_an_app(tmp_path):
    """What somebody copies needs nothing else of the repository."""
    copy = Path(shutil.copytree(FRAUD, tmp_path / "mine"))
    settings = bank(tmp_path / "data", random_table(), random_table(seed=1))
    program = (
        "import fraud\n"
        "from frugalfl.task import load_task\n"
        "print(fraud.__file__, len(load_task('task:task').rows_of(1, 2)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=copy, capture_output=True, text=True, check=True,
        env={**os.environ, "FRUGALFL_FRAUD": str(settings)},
    )  # fmt: skip
    file, rows = result.stdout.split()
    assert Path(file).is_relative_to(copy) and int(rows) > 0
