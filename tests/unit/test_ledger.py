"""The ledger: nothing committed is lost, and nothing changes unseen."""

import random
import sqlite3
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from energy_records import RECORD, records
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frugalfl.energy import Head, Ledger, Reading
from frugalfl.energy.record_json import parse
from frugalfl.errors import RunError

APPENDS = 1000
APPENDER = f"""
import sys
from dataclasses import replace
from pathlib import Path
from energy_records import RECORD
from frugalfl.energy import Ledger
ledger = Ledger(Path(sys.argv[1]))
for number in range(1, {APPENDS} + 1):
    ledger.append([replace(RECORD, round=number), replace(RECORD, round=number, phase="encode")])
    print(number, flush=True)
"""


def filled(path, count=10):
    with Ledger(path) as ledger:
        for number in range(1, count + 1):
            head = ledger.append([replace(RECORD, round=number)])
    return head


def fault(path, seen=None):
    with Ledger(path) as ledger:
        return ledger.verify(seen).fault


def edit(path, *statements):
    with sqlite3.connect(path) as db:
        for statement in statements:
            db.execute(statement)
    db.close()


def test_it_keeps_records_over_restarts(tmp_path):
    path = tmp_path / "device" / "ledger.sqlite"
    later = replace(RECORD, round=2)
    with Ledger(path) as ledger:
        ledger.append([RECORD])
    with Ledger(path) as ledger:
        ledger.append([later])
        assert ledger.records() == [RECORD, later]
        assert ledger.verify().fault == ""


@pytest.mark.parametrize("seed", range(4))
def test_kill_9_amid_appends_loses_nothing_that_was_committed(tmp_path, seed):
    path = tmp_path / "ledger.sqlite"
    stop = random.Random(seed).randrange(1, APPENDS)
    child = subprocess.Popen(
        [sys.executable, "-c", APPENDER, path], stdout=subprocess.PIPE, text=True,
        env={"PYTHONPATH": ":".join([str(Path(__file__).parents[1]), *sys.path])},
    )  # fmt: skip
    told = 0
    for line in child.stdout:
        told = int(line)
        if told == stop:
            child.kill()
            break
    told = max([told, *(int(line) for line in child.stdout if line.endswith("\n"))])
    assert child.wait(60) == -9
    child.stdout.close()
    with Ledger(path) as ledger:
        rounds = [record.round for record in ledger.records()]
        verdict = ledger.verify()
    assert verdict.fault == ""
    assert len(rounds) >= 2 * told >= 2 * stop
    assert rounds == [number for number in range(1, len(rounds) // 2 + 1) for _ in range(2)]


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE entries SET text = json_set(text, '$.cpu_s', 0.1) WHERE number = 5", "record 5 "),
        ("UPDATE entries SET hash = zeroblob(32) WHERE number = 5", "record 5 "),
        ("DELETE FROM entries WHERE number = 5", "record 5 is missing"),
        ("DELETE FROM entries WHERE number <= 3", "record 1 is missing"),
        ("DELETE FROM entries WHERE number > 8", "record 9 is missing"),
        ("INSERT INTO entries SELECT 11, text, hash FROM entries WHERE number = 10", "record 11 "),
        ("UPDATE entries SET number = 20 WHERE number = 10", "record 10 is missing"),
        ("UPDATE about SET number = 9", "record 11 is missing"),
    ],
)
def test_verify_names_the_first_record_that_was_tampered_with(tmp_path, statement, named):
    path = tmp_path / "ledger.sqlite"
    filled(path)
    assert fault(path) == ""
    edit(path, statement)
    assert fault(path).startswith(named)


def test_an_edited_record_is_described(tmp_path):
    path = tmp_path / "ledger.sqlite"
    filled(path)
    edit(path, "UPDATE entries SET text = json_set(text, '$.samples', 1) WHERE number = 5")
    assert "client 7, round 5, train" in fault(path)


def test_records_that_change_places_are_named(tmp_path):
    path = tmp_path / "ledger.sqlite"
    filled(path)
    edit(
        path,
        "UPDATE entries SET number = -1 WHERE number = 4",
        "UPDATE entries SET number = 4 WHERE number = 6",
        "UPDATE entries SET number = 6 WHERE number = -1",
    )
    assert fault(path).startswith("record 4 ")


def test_a_ledger_that_was_written_anew_or_cut_off_differs_from_what_was_told(tmp_path):
    real, forged = tmp_path / "real.sqlite", tmp_path / "forged.sqlite"
    head = filled(real)
    seen = {head.number: head.hash}
    assert fault(real, seen) == ""
    filled(forged)  # the same records, in an unbroken chain of its own
    assert fault(forged) == ""
    assert "record 10 " in fault(forged, seen)
    filled(tmp_path / "short.sqlite", 7)
    assert fault(tmp_path / "short.sqlite", seen).startswith("record 8 is missing")


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(records, min_size=1, max_size=5), st.data())
def test_any_record_comes_back_and_any_single_change_breaks_the_chain(kept, data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        with Ledger(path) as ledger:
            ledger.append(kept)
            assert ledger.records() == kept
            assert ledger.verify().fault == ""
        number = data.draw(st.integers(1, len(kept)))
        with sqlite3.connect(path) as db:
            (text,) = db.execute("SELECT text FROM entries WHERE number = ?", (number,)).fetchone()
            place = data.draw(st.integers(0, len(text) - 1))
            other = data.draw(st.characters(codec="utf-8", exclude_characters="\0" + text[place]))
            changed = text[:place] + other + text[place + 1 :]
            db.execute("UPDATE entries SET text = ? WHERE number = ?", (changed, number))
        db.close()
        assert fault(path).startswith(f"record {number} ")


def test_rotation_bounds_the_file_and_keeps_the_chain(tmp_path):
    path, most = tmp_path / "ledger.sqlite", 60_000
    with Ledger(path, most_bytes=most) as ledger:
        for number in range(1, 601):
            ledger.append([replace(RECORD, round=number)])
            assert ledger.verify().fault == "" if number % 50 == 0 else True
        verdict, left = ledger.verify(), ledger.records()
        ((sealed,),) = ledger._file.db.execute(
            "SELECT text FROM entries WHERE text LIKE '{\"seal\"%' ORDER BY number DESC LIMIT 1"
        ).fetchall()
    assert path.stat().st_size < 2 * most
    assert verdict.fault == ""
    assert verdict.records == len(left) < 300
    assert verdict.sealed + verdict.records == 600
    assert [record.round for record in left] == list(range(601 - len(left), 601))
    assert parse(sealed)["seal"]["estimated_j"] == pytest.approx(6.0 * verdict.sealed)
    edit(path, "DELETE FROM entries WHERE number = (SELECT min(number) FROM entries)")
    assert "is missing" in fault(path)


def test_a_seal_cannot_be_changed_either(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with Ledger(path, most_bytes=60_000) as ledger:
        for number in range(1, 301):
            ledger.append([replace(RECORD, round=number)])
    edit(
        path,
        "UPDATE entries SET text = json_set(text, '$.seal.estimated_j', 1.0) WHERE text LIKE '{\"seal\"%'",
    )
    assert "does not match its hash" in fault(path)


def test_a_ledger_of_schema_1_is_brought_up_to_date(tmp_path):
    path = tmp_path / "ledger.sqlite"
    columns = (
        "run, client, round, phase, start_unix_s, wall_s, cpu_s, energy_j, idle_j, measured, method, "
        "source, uncertainty_rel, samples, uplink_bytes, downlink_bytes"
    )
    edit(
        path,
        f"CREATE TABLE energy ({columns})",
        "INSERT INTO energy VALUES ('r', '7', 1, 'download', 1.0, 2.0, 1.5, 6.0, NULL, 0, 'cpu-time',"
        " 'generic: generic 4 W per busy core', 0.5, 0, 0, 900)",
        "PRAGMA user_version = 1",
    )
    with Ledger(path) as ledger:
        (record,) = ledger.records()
        ledger.append([RECORD])
        assert ledger.verify().fault == ""
    assert (record.phase, record.device, record.downlink_bytes) == ("decode", "generic", 900)
    assert record.readings == (
        Reading("cpu", 6.0, None, False, "cpu-time", "generic: generic 4 W per busy core",
                "process", 0.5),
    )  # fmt: skip


def test_plain_sql_can_read_it(tmp_path):
    path = tmp_path / "ledger.sqlite"
    filled(path, 3)
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT client, round, phase, cpu_s FROM energy").fetchall() == [
            ("7", number, "train", 1.5) for number in (1, 2, 3)
        ]
    db.close()


def test_a_file_that_is_no_ledger(tmp_path):
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"not a database, but long enough to be read as one" * 40)
    with pytest.raises(RunError, match="cannot open the energy ledger"):
        Ledger(path)


def test_a_database_of_something_else_is_left_as_it_is(tmp_path):
    path = tmp_path / "store.sqlite"
    edit(path, "CREATE TABLE runs (run TEXT)")
    with pytest.raises(RunError, match="database of something else"):
        Ledger(path)
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("runs",)]
    db.close()


def test_a_ledger_from_the_future(tmp_path):
    path = tmp_path / "ledger.sqlite"
    edit(path, "PRAGMA user_version = 99")
    with pytest.raises(RunError, match="schema 99"):
        Ledger(path)


def test_a_ledger_from_before_there_were_proofs_is_opened_again_and_again(tmp_path):
    path = tmp_path / "ledger.sqlite"
    filled(path, 3)
    edit(path, "DROP TABLE proven")
    for number in (4, 5):
        with Ledger(path) as ledger:
            told = ledger.append([RECORD])
            assert told.number == number and ledger.has_told(told)
            # Only what is older than the first proof counts without one.
            assert ledger.has_told(Head(3, bytes(32)))
            assert not ledger.has_told(Head(4, bytes(32)))
