"""``frugalfl simulate`` as a user runs it: a process, its output, its files."""

import json
import os
import pty
import signal
import sqlite3
import subprocess
from collections import Counter

import pyarrow.parquet as pq
import pytest
from tests.devices import ledgers

from .conftest import COMMAND, DIGITS, SMALL, frugalfl


def test_a_run_ends_with_a_model_a_report_and_a_ledger(finished):
    run, result = finished
    for name in ("report.html", "summary.json", "run.json", "rounds.parquet", "energy.parquet"):
        assert (run / name).is_file(), name
    for name in ("model_int8.tflite", "model_data.c", "model_data.h", "model_card.json"):
        assert (run / "model" / name).is_file(), name
    for path in ("model_int8.tflite", "report.html", "ledger"):
        assert path in result.stdout


def test_the_summary_has_its_documented_names(finished):
    run, _ = finished
    summary = json.loads((run / "summary.json").read_text())
    shared = {
        "accuracy",
        "rounds",
        "uplink_bytes",
        "downlink_bytes",
        "uplink_bytes_per_update",
        "energy_j",
        "wall_s",
    }
    assert shared | {"accuracy_int8", "model", "baseline", "status"} <= summary.keys()
    assert shared <= summary["baseline"].keys()
    assert {"parameters", "float_bytes", "int8_bytes", "arena_bytes"} == summary["model"].keys()
    assert summary["status"] == "finished"
    assert summary["baseline"]["server_energy_j"]["estimated"] > 0
    assert summary["energy_j"]["measured"] is None
    assert summary["energy_j"]["estimated"] > 0


def test_the_figures_add_up(finished):
    run, _ = finished
    summary = json.loads((run / "summary.json").read_text())
    rounds = [
        row
        for row in pq.read_table(run / "rounds.parquet").to_pylist()
        if row["federation"] == "frugalfl"
    ]
    energy = pq.read_table(run / "energy.parquet").to_pylist()
    assert [row["round"] for row in rounds] == list(range(1, 11))  # the last one calibrates
    assert summary["uplink_bytes"] == sum(row["uplink_bytes"] for row in energy)
    assert summary["downlink_bytes"] == sum(row["downlink_bytes"] for row in energy)
    clients = [row for row in energy if row["client"] != "server"]
    trained = [row for row in clients if row["round"] < 10]
    assert Counter((row["client"], row["round"]) for row in trained).most_common()[-1][1] == 6
    assert Counter(row["phase"] for row in trained) == dict.fromkeys(
        ("download", "decode", "evaluate", "train", "encode", "upload"), 4 * 9
    )
    # All 8 of them calibrate.
    assert Counter(row["phase"] for row in clients if row["round"] == 10) == dict.fromkeys(
        ("download", "decode", "calibrate", "upload"), 8
    )


def test_joules_reconcile_from_records_to_rounds_to_the_summary(finished):
    run, _ = finished
    summary = json.loads((run / "summary.json").read_text())
    energy = pq.read_table(run / "energy.parquet").to_pylist()
    rounds = pq.read_table(run / "rounds.parquet").to_pylist()
    own = [row for row in rounds if row["federation"] == "frugalfl"]
    for row in own:
        of_round = [record for record in energy if record["round"] == row["round"]]
        clients = [r["estimated_j"] for r in of_round if r["client"] != "server"]
        server = [
            r["estimated_j"]
            for r in of_round
            if r["client"] == "server" and r["phase"] in ("encode", "aggregate", "evaluate")
        ]
        assert len(server) == (0 if row["phase"] == "calibrate" else 3)
        assert row["energy_estimated_j"] == pytest.approx(sum(clients))
        assert (row["server_estimated_j"] or 0) == pytest.approx(sum(server))
        assert row["energy_measured_j"] is None
    assert summary["energy_j"]["estimated"] == pytest.approx(
        sum(row["energy_estimated_j"] for row in own)
    )
    for name, server in (("energy_j", False), ("server_energy_j", True)):
        mine = [r["estimated_j"] for r in energy if (r["client"] == "server") is server]
        assert summary[name]["estimated"] == pytest.approx(sum(mine))
    grams = [r["estimated_g"] for r in energy if r["client"] != "server"]
    assert summary["carbon_g"]["estimated"] == pytest.approx(sum(grams))
    for record in energy:  # nested readings say the same as the flat columns
        parts = [reading["energy_j"] for reading in record["readings"]]
        assert record["estimated_j"] == pytest.approx(sum(parts))


def test_the_devices_own_ledgers_agree_with_the_run(finished):
    run, _ = finished
    rows = sum(len(ledger.records()) for ledger in ledgers(run).values())
    told = pq.read_table(run / "energy.parquet").to_pylist()
    assert rows == sum(row["client"] != "server" for row in told)


def test_updates_are_far_smaller_than_the_baselines(finished):
    run, _ = finished
    summary = json.loads((run / "summary.json").read_text())
    assert summary["uplink_bytes_per_update"] < 600
    assert summary["baseline"]["uplink_bytes_per_update"] >= 153_128
    assert summary["baseline"]["rounds"] == summary["rounds"]
    whole = json.loads((run / "pruning.json").read_text())["float32_bytes"]
    assert whole == 153_128


def test_same_seed_same_model(tmp_path):
    models = []
    for name in ("a", "b"):
        result = frugalfl(
            "simulate", DIGITS, *SMALL, "rounds=2", "prune=0", "--runs", name, cwd=tmp_path
        )
        assert result.returncode == 0, result.stderr
        assert "recover-rounds is 3, but with prune = 0 nothing is pruned" in result.stderr
        models.append((tmp_path / name / "latest" / "model" / "model_int8.tflite").read_bytes())
    assert models[0] == models[1]


def test_json_is_all_there_is_on_standard_output(tmp_path):
    result = frugalfl("simulate", DIGITS, *SMALL, "rounds=1", "prune=0", "--json", cwd=tmp_path)
    assert json.loads(result.stdout)["status"] == "finished"
    assert "accuracy" in result.stderr  # progress


@pytest.mark.parametrize(
    "how", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_ctrl_c_and_sigterm_leave_a_usable_run(tmp_path, how):
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, "simulate", DIGITS, *SMALL, "rounds=500"],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=terminal, start_new_session=True,
    )  # fmt: skip
    os.close(terminal)
    seen = b""
    while b"train    3/" not in seen:
        seen += os.read(controller, 4096)
    os.killpg(process.pid, how)
    while True:
        try:
            more = os.read(controller, 4096)
        except OSError:  # the terminal is closed: the process has ended
            break
        seen += more
    os.close(controller)
    assert process.wait(60) == 130
    last = seen.decode().strip().splitlines()[-1]
    assert "interrupted" in last
    assert "Traceback" not in seen.decode()
    run = tmp_path / "runs" / "latest"
    summary = json.loads((run / "summary.json").read_text())
    assert summary["status"] == "interrupted"
    assert summary["rounds"] >= 3
    assert pq.read_table(run / "rounds.parquet").num_rows == summary["rounds"]
    assert not list(run.rglob("*.part"))
    for path in run.rglob("devices/**/*.sqlite"):
        with sqlite3.connect(path) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert frugalfl("report", run, cwd=tmp_path).returncode == 0
    refused = frugalfl("export", run, cwd=tmp_path)
    assert refused.returncode == 7
    assert "no calibration ranges: clients are asked for them after the last" in refused.stderr
