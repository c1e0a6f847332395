"""The other verbs, on a run that is there."""

import csv
import json
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from frugalfl.energy.packed_records import pack, unpack
from frugalfl.energy.parquet import read_records, write_records

from .conftest import frugalfl


def without(package, *arguments, cwd):
    """Run the command in an interpreter in which a package is missing."""
    program = (
        "import sys\n"
        f"sys.modules[{package!r}] = None\n"  # the interpreter's own way to make an import fail
        "from frugalfl.cli import main\n"
        "main()\n"
    )
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True, text=True, check=False, cwd=cwd,
    )  # fmt: skip


def test_help_teaches(tmp_path):
    text = frugalfl("--help", cwd=tmp_path).stdout
    for verb in ("simulate", "serve", "node", "export", "report", "energy", "doctor"):
        assert verb in text
        assert "Example" in frugalfl(verb, "--help", cwd=tmp_path).stdout or verb == "doctor"


def test_help_says_what_each_argument_is(tmp_path):
    for verb, words in (("simulate", "Folder of a Flower app"), ("report", "A run directory")):
        assert words in frugalfl(verb, "--help", cwd=tmp_path).stdout


def test_version(tmp_path):
    assert frugalfl("--version", cwd=tmp_path).stdout.startswith("frugalfl 0.")


def test_energy_by_phase_and_client(finished):
    run, _ = finished
    text = frugalfl("energy", run, cwd=run).stdout
    assert "estimated by cpu-time" in text
    for phase in ("download", "train", "encode"):
        assert phase in text
    assert "server: aggregate" in text
    assert "475 g/kWh (WORLD 2018" in text
    records = json.loads(frugalfl("energy", run, "--json", cwd=run).stdout)
    assert not [r for record in records for r in record["readings"] if r["measured"]]


def test_energy_for_other_tools(finished, tmp_path):
    run, _ = finished
    records = list(
        csv.DictReader(frugalfl("energy", run, "--format", "csv", cwd=run).stdout.split("\n"))
    )
    joules = sum(float(record["estimated_j"]) for record in records)
    by_client = list(
        csv.DictReader(
            frugalfl("energy", run, "--format", "csv", "--by", "client", cwd=run).stdout.split("\n")
        )
    )
    assert by_client[-1]["client"] == "server"
    assert sum(float(row["estimated_j"]) for row in by_client) == pytest.approx(joules)
    table = tmp_path / "joules.parquet"
    assert frugalfl("energy", run, "--format", "parquet", "--out", table, cwd=run).returncode == 0
    assert pq.read_table(table).num_rows == len(records)
    lines = frugalfl("energy", run, "--format", "prometheus", cwd=run).stdout.split("\n")
    values = [float(line.split()[-1]) for line in lines if line.startswith("frugalfl_energy")]
    assert sum(values) == pytest.approx(joules)


def test_grams_of_another_place(finished):
    run, _ = finished
    rows = [
        json.loads(frugalfl("energy", run, "--json", "--grid", grid, cwd=run).stdout)
        for grid in ("100 g/kWh", "200 g/kWh")
    ]
    low, high = (sum(record["estimated_g"] for record in one) for one in rows)
    assert high == pytest.approx(2 * low)


def test_verify_a_run_and_name_what_was_edited(finished, tmp_path):
    run, _ = finished
    assert "every chain is unbroken" in frugalfl("energy", "verify", run, cwd=run).stdout
    copy = tmp_path / "run"
    shutil.copytree(run, copy, symlinks=True)
    shared = copy / "devices" / "ledgers.sqlite"
    alone = frugalfl("energy", "verify", shared, "--against", copy, cwd=run)
    assert "agrees with what the server was told" in alone.stdout
    with sqlite3.connect(shared) as db:
        client, number, data = db.execute("SELECT client, number, data FROM bundles").fetchone()
        records = [replace(one, cpu_s=0.0) if one.phase == "train" else one for one in unpack(data)]
        db.execute(
            "UPDATE bundles SET data = ? WHERE client = ? AND number = ?",
            (pack(records), client, number),
        )
    db.close()
    result = frugalfl("energy", "verify", copy, cwd=run)
    assert result.returncode == 8
    told = f"{shared.relative_to(copy)}, client {client}: record {number} (client {client}"
    assert told in result.stdout
    assert "does not match its hash" in result.stdout
    assert result.stderr.count("\n") == 1


def test_a_run_whose_table_was_changed_does_not_verify(finished, tmp_path):
    run, _ = finished
    copy = tmp_path / "run"
    shutil.copytree(run, copy, symlinks=True)
    records = read_records(copy / "energy.parquet")
    place = next(i for i, record in enumerate(records) if record.phase == "train")
    records[place] = replace(records[place], cpu_s=0.0)
    write_records(copy / "energy.parquet", records)
    result = frugalfl("energy", "verify", copy, cwd=run)
    assert result.returncode == 8
    assert f"client {records[place].client}, round {records[place].round}, train" in result.stdout


def test_energy_of_one_devices_ledger(finished):
    run, _ = finished
    ledger = run / "devices" / "ledgers.sqlite"
    assert "estimated by cpu-time" in frugalfl("energy", ledger, cwd=run).stdout


def test_report_prints_the_same_summary(finished):
    run, _ = finished
    again = frugalfl("report", run, cwd=run)
    assert again.returncode == 0
    assert json.loads(frugalfl("report", run, "--json", cwd=run).stdout) == json.loads(
        (run / "summary.json").read_text()
    )


def test_export_writes_the_same_model_elsewhere(finished, tmp_path):
    run, _ = finished
    result = frugalfl("export", run, "--out", tmp_path / "model", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    files = ("model_int8.tflite", "model_float.tflite")
    assert all(
        (tmp_path / "model" / f).read_bytes() == (run / "model" / f).read_bytes() for f in files
    )


@pytest.mark.slow
def test_without_tflite_micro_an_export_says_that_it_was_not_checked_there(finished, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(finished[0], copy, symlinks=True)
    result = without("tflite_micro", "export", str(copy), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (copy / "model" / "model_int8.tflite").exists()
    line = result.stdout.splitlines()[-1]
    assert line.startswith("the model was not checked in TFLite-Micro: ")
    assert "frugalfl[micro]" in line
    assert "TFLite-Micro against LiteRT             – LSB  not checked" in result.stdout
    summary = json.loads((copy / "summary.json").read_text())
    assert summary["model"]["arena_bytes"] is None
    page = (copy / "report.html").read_text()
    assert "run in LiteRT" in page and "run in TFLite-Micro" not in page
    assert "not checked: TFLite-Micro was not installed" in page


def test_doctor_says_what_is_estimated(tmp_path):
    assert "estimated" in frugalfl("doctor", cwd=tmp_path).stdout
    findings = json.loads(frugalfl("doctor", "--json", cwd=tmp_path).stdout)
    assert findings["parts"]["server"]["version"]
    assert findings["interpreters"]["ai-edge-litert"]["version"]


def test_a_verb_without_its_packages_says_what_to_install(tmp_path):
    """A child interpreter in which pyarrow is missing, as on a device with the base only."""
    result = without("pyarrow", "report", "runs/latest", cwd=tmp_path)
    assert result.returncode == 2
    assert "pip install 'frugalfl[server]'" in result.stderr
    assert "Traceback" not in result.stderr
