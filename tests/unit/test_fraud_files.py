"""A bank's own files: read in many forms, or refused in one line."""

from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pytest
from fraud.config import ULB, Config
from fraud.features import features, names
from fraud.files import load, load_branch, write_parquet
from fraud.prepare import clean, prepare
from fraud.schema import concatenate, fingerprint
from fraud_tables import random_table
from pyarrow import csv, parquet

from frugalfl.errors import TaskError


@pytest.fixture
def columns():
    table = random_table(rows=50)
    return {name: getattr(table, name) for name in Config().columns}


def written(folder, columns, name="branch-0.parquet"):
    path = folder / name
    if name.endswith(".csv"):
        csv.write_csv(pa.table(columns), path)
    else:
        parquet.write_table(pa.table(columns), path)
    return path


def test_what_was_written_is_read_again(tmp_path):
    table = replace(
        random_table(), extra=np.ones((3000, 2), np.float32), extra_names=("age", "limit")
    )
    write_parquet(table, tmp_path / "branch-3.parquet")
    loaded = load_branch(tmp_path, 3, Config(extra=("age", "limit")))
    assert fingerprint(loaded.transactions) == fingerprint(table)
    assert loaded.notes == ()


def test_another_banks_csv_with_names_dates_and_text_identifiers(tmp_path, columns):
    stamps = [datetime(1970, 1, 1) + timedelta(seconds=int(s)) for s in columns["time"]]
    theirs = {
        "TX": [f"t{i}" for i in columns["id"]],
        "WHEN": [stamp.strftime("%d/%m/%Y %H:%M:%S") for stamp in stamps],
        "PAN": [f"card {card}" for card in columns["card"]],
        "SHOP": [f"shop {shop}" for shop in columns["terminal"]],
        "EUR": columns["amount"],
        "FRAUD": columns["fraud"],
        "unused": ["x"] * 50,
    }
    config = Config(
        columns=MappingProxyType(
            {"id": "TX", "time": "WHEN", "card": "PAN", "terminal": "SHOP", "amount": "EUR",
             "fraud": "FRAUD"}
        ),
        time_format="%d/%m/%Y %H:%M:%S",
    )  # fmt: skip
    found = load(written(tmp_path, theirs, "bank.csv"), config).transactions
    assert np.array_equal(found.time, columns["time"])
    assert np.array_equal(found.amount, columns["amount"])
    # Equal texts have equal identifiers, also in another branch's file; other texts have others.
    assert len(np.unique(found.card)) == len(np.unique(columns["card"]))
    again = load(written(tmp_path, theirs, "other.csv"), config).transactions
    assert np.array_equal(found.terminal, again.terminal)
    salted = load(tmp_path / "other.csv", replace(config, salt="another")).transactions
    assert not set(found.card.tolist()) & set(salted.card.tolist())


@pytest.mark.parametrize(
    ("times", "time_format"),
    [
        (lambda s: s * 1000 + 7, "milliseconds"),
        (lambda s: s.astype(np.float64) + 0.9, "seconds"),
        (lambda s: s.astype("datetime64[s]").astype("datetime64[us]"), "auto"),
        (lambda s: [str(x) for x in s.astype("datetime64[s]")], "auto"),
    ],
)
def test_times_in_many_forms(tmp_path, columns, times, time_format):
    path = written(tmp_path, {**columns, "time": times(columns["time"])})
    found = load(path, Config(time_format=time_format)).transactions
    assert np.array_equal(found.time, columns["time"])


def broken(name, row, value):
    def change(columns):
        values = columns[name].tolist()
        values[row] = value
        return {**columns, name: values}

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (broken("amount", 4, -1.5), "column amount, row 5 of the data: -1.5; .* 0 or more"),
        (broken("amount", 6, float("nan")), "column amount, row 7 of the data: (nan|empty); fill"),
        (broken("amount", 2, None), "column amount, row 3 of the data: empty"),
        (broken("amount", 2, 1e13), "row 3 of the data: 1e\\+13; amounts go up to 1e\\+12"),
        (broken("fraud", 9, 2), "column fraud, row 10 of the data: 2; it must be 0 or 1"),
        (broken("time", 0, None), "column time, row 1 of the data: empty"),
        (broken("card", 8, None), "column card, row 9 of the data: empty"),
        (lambda c: {**c, "amount": [f"{a} EUR" for a in c["amount"]]},
         "column amount, row 1 of the data: '.* EUR' is not a number"),
        (lambda c: {**c, "amount": [[a] for a in c["amount"]]},
         "column amount is list<.*>, not numbers"),
        (lambda c: {**c, "time": ["soon"] * 50}, "'soon' is not a time such as 2018-04-01"),
        (lambda c: {**c, "time": [True] * 50}, "column time is bool, not a time"),
        (lambda c: {**c, "terminal": c["amount"]}, "column terminal is double, not whole numbers"),
        (lambda c: {k: v for k, v in c.items() if k != "terminal"},
         "there is no column 'terminal', only time, amount, fraud, id, card; add it"),
        (lambda c: {k: v[:0] for k, v in c.items()}, "there are no transactions"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["branch-0.parquet", "branch-0.csv"])
def test_what_is_wrong_is_said_in_one_line(tmp_path, columns, change, message, name):
    if name.endswith(".csv") and any(word in message for word in ("list<", "double", "no trans")):
        pytest.skip("CSV has no such type")
    changed = change(columns)
    with pytest.raises(TaskError, match=message) as error:
        load(written(tmp_path, changed, name), Config())
    assert str(error.value).startswith(name) and "\n" not in str(error.value)


def test_an_identifier_is_the_same_in_whatever_form_a_branch_keeps_it(tmp_path, columns):
    numbers = load(written(tmp_path, columns), Config()).transactions
    texts = {**columns, "terminal": [str(terminal) for terminal in columns["terminal"]]}
    mixed = {**texts, "terminal": ["A7", "007", *texts["terminal"][2:]]}
    for name in ("branch-1.parquet", "branch-1.csv"):
        found = load(written(tmp_path, mixed, name), Config()).transactions.terminal
        assert np.array_equal(found[2:], numbers.terminal[2:])
        assert len({*found[:2], 7}) == 3


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(TaskError, match="there is no such file"):
        load(tmp_path / "branch-0.parquet", Config())
    (tmp_path / "branch-0.parquet").write_bytes(b"no Parquet")
    with pytest.raises(TaskError, match=r"branch-0.parquet: cannot be read"):
        load(tmp_path / "branch-0.parquet", Config())
    with pytest.raises(TaskError, match="only .parquet, .csv, .csv.gz can be read"):
        load(tmp_path / "branch-0.xlsx", Config())


def test_rows_in_any_order_are_sorted_and_said_so(tmp_path, columns):
    shuffled = np.random.default_rng(0).permutation(50)
    path = written(tmp_path, {name: values[shuffled] for name, values in columns.items()})
    loaded = load(path, Config())
    assert np.array_equal(loaded.transactions.time, columns["time"])
    assert loaded.notes == ("branch-0.parquet: rows were not in the order of time: sorted",)


def test_the_layout_of_the_public_ulb_file(tmp_path):
    """Not the file itself, which is not here: a table of the same 31 columns."""
    rng = np.random.default_rng(0)
    rows = 2000
    table = {"Time": np.sort(rng.uniform(0, 172_792, rows)).round()}
    table |= {f"V{number}": rng.normal(size=rows) for number in range(1, 29)}
    table |= {"Amount": rng.exponential(88, rows).round(2), "Class": rng.integers(0, 2, rows)}
    written(tmp_path, table, "creditcard-0.csv")
    loaded = load_branch(tmp_path, 0, ULB).transactions
    kept, _ = clean(loaded, ULB)
    prepared = prepare(kept, ULB)
    assert names(ULB) == ("amount", "weekend", "night", "hour", *ULB.extra)
    assert prepared.train.x.shape[1] == prepared.test_x.shape[1] == 32
    assert len(prepared.test_y) == (table["Time"] >= 86_400).sum()
    np.testing.assert_allclose(features(loaded, ULB)[:, 4], table["V1"], rtol=1e-6)


def test_tables_that_do_not_go_together():
    table = random_table(rows=5)
    with pytest.raises(TaskError, match="different extra columns"):
        concatenate(
            [table, replace(table, extra=np.ones((5, 1), np.float32), extra_names=("age",))]
        )
    with pytest.raises(TaskError, match="column amount is float32 of 1 dimensions"):
        replace(table, amount=table.amount.astype(np.float32)).check("mine")
    with pytest.raises(TaskError, match="column card has 3 rows but id has 5"):
        replace(table, card=table.card[:3]).check("mine")
