"""The file with the ledgers of many devices may be another's: what he put there is not run."""

import sqlite3

import pytest
from tests.energy_records import RECORD

from frugalfl.energy.cli import read_records
from frugalfl.energy.many_ledgers import FILE, ManyLedgers
from frugalfl.energy.verify_ledgers import verify_ledger
from frugalfl.errors import RunError
from frugalfl_sim.engine.many_stores import ManyStores

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i, i, x'00', x'00' FROM n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / FILE
    many = ManyLedgers(path)
    many.of(3).append([RECORD])
    many.close()
    return path


def spoil(path, *statements):
    db = sqlite3.connect(path)
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


def test_what_was_kept_is_read_again(file):
    assert read_records(file) == [RECORD]
    assert verify_ledger(file, None).faults == []


@pytest.mark.parametrize(
    "statements",
    [
        ("DROP TABLE bundles", f"CREATE VIEW bundles (client, number, hash, data) AS {ENDLESS}"),
        ("CREATE TRIGGER t AFTER INSERT ON bundles BEGIN DELETE FROM bundles; END",),
        ("CREATE TABLE mine (secret TEXT)",),
        ("CREATE INDEX i ON bundles (abs(number))",),
    ],
)
@pytest.mark.parametrize("read", [read_records, lambda path: verify_ledger(path, None)])
def test_a_file_that_holds_anything_else_is_refused_before_it_is_read(file, statements, read):
    spoil(file, *statements)
    before = file.read_bytes()
    with pytest.raises(RunError, match=r"cannot open the energy ledgers.*it holds '"):
        read(file)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE about SET name = 1000000000000",
        "UPDATE about SET name = 'text'",
        "UPDATE about SET name = x'00'",
        "UPDATE bundles SET client = 'one'",
        "UPDATE bundles SET number = 1.5",
        "UPDATE bundles SET hash = 1000000000000",
        "UPDATE bundles SET data = 1000000000000",
        "UPDATE bundles SET data = 'text'",
    ],
)
@pytest.mark.parametrize("read", [read_records, lambda path: verify_ledger(path, None)])
def test_values_of_another_type_are_told_in_one_line(file, statement, read):
    spoil(file, statement)
    with pytest.raises(RunError, match=r"(?s)^[^\n]*damaged[^\n]*$"):
        read(file)


def test_a_store_that_holds_anything_else_is_refused(tmp_path):
    path = tmp_path / "stores.sqlite"
    ManyStores(path).close()
    ManyStores(path).close()
    spoil(path, "CREATE TRIGGER t AFTER INSERT ON states BEGIN DELETE FROM models; END")
    with pytest.raises(RunError, match="cannot open the devices' stores.*it holds 't'"):
        ManyStores(path)
