import sqlite3
import subprocess
import sys
from dataclasses import replace

import pytest

from frugalfl.energy import EnergyRecord, Ledger, totals
from frugalfl.errors import RunError

RECORD = EnergyRecord(
    run="r", client="7", round=1, phase="train", start_unix_s=1.0, wall_s=2.0, cpu_s=1.5,
    energy_j=6.0, idle_j=None, measured=False, method="cpu-time", source="generic",
    uncertainty_rel=0.5, samples=30,
)  # fmt: skip


def test_measured_and_estimated_are_never_added_up():
    total = totals(
        [RECORD, replace(RECORD, measured=True, energy_j=2.0), replace(RECORD, energy_j=None)]
    )
    assert total.as_summary() == {"measured": 2.0, "estimated": 6.0}
    assert total.unknown == 1


def test_nothing_known_is_not_zero():
    assert totals([replace(RECORD, energy_j=None)]).as_summary() == {
        "measured": None,
        "estimated": None,
    }


def test_the_ledger_keeps_records_over_restarts(tmp_path):
    path = tmp_path / "device" / "ledger.sqlite"
    measured = replace(RECORD, measured=True, idle_j=0.5)
    with Ledger(path) as ledger:
        ledger.append([RECORD])
    with Ledger(path) as ledger:
        ledger.append([measured])
        assert ledger.records() == [RECORD, measured]


def test_a_killed_process_loses_no_written_record(tmp_path):
    path = tmp_path / "ledger.sqlite"
    program = (
        "import os, signal, sys; sys.path.insert(0, 'tests/unit')\n"
        "from pathlib import Path\n"
        "from frugalfl.energy import EnergyRecord, Ledger\n"
        f"ledger = Ledger(Path({str(path)!r}))\n"
        "for n in range(50):\n"
        "    ledger.append([EnergyRecord('r', '1', n, 'train', 0, 0, 0, 1.0, None, False, 'm', 's', None)])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    with Ledger(path) as ledger:
        assert [record.round for record in ledger.records()] == list(range(50))


def test_a_file_that_is_no_ledger(tmp_path):
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"not a database, but long enough to be read as one" * 40)
    with pytest.raises(RunError, match="cannot open the energy ledger"):
        Ledger(path)


def test_a_ledger_from_the_future(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(RunError, match="schema 99"):
        Ledger(path)
