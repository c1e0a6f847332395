import math
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from frugalfl.energy import CpuTimeMeter, EnergyRecord, Ledger, profile_named, totals
from frugalfl.errors import RunError, UsageError

RECORD = EnergyRecord(
    run="r", client="7", round=1, phase="train", start_unix_s=1.0, wall_s=2.0, cpu_s=1.5,
    energy_j=6.0, idle_j=None, measured=False, method="cpu-time", source="generic",
    uncertainty_rel=0.5, samples=30,
)  # fmt: skip


def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        math.sqrt(2)


def test_joules_follow_processor_time_not_waiting_time():
    meter = CpuTimeMeter(profile_named("generic"))
    with meter.window("train") as working:
        burn(0.05)
    with meter.window("wait") as waiting:
        time.sleep(0.05)
    assert working.energy_j >= 4.0 * 0.05
    assert waiting.energy_j < working.energy_j / 5
    assert waiting.wall_s >= 0.05


def test_idle_joules_are_kept_apart_and_unknown_where_unknown():
    with CpuTimeMeter(profile_named("raspberry-pi-4b")).window("train") as window:
        burn(0.01)
    assert window.idle_j == pytest.approx(2.286 * window.wall_s)
    with CpuTimeMeter(profile_named("generic")).window("train") as window:
        pass
    assert window.idle_j is None


def test_a_window_is_filled_even_when_the_work_fails():
    meter = CpuTimeMeter(profile_named("generic"))
    with pytest.raises(ValueError), meter.window("train") as window:
        burn(0.01)
        raise ValueError
    assert window.energy_j > 0


def test_every_estimate_says_so():
    assert CpuTimeMeter(profile_named("generic")).measured is False


def test_unknown_profile():
    with pytest.raises(UsageError, match="did you mean 'raspberry-pi-4b'"):
        profile_named("raspberry-pi-4")


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
