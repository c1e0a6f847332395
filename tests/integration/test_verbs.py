"""The other verbs, on a run that is there."""

import json
import subprocess
import sys

from .conftest import frugalfl


def test_help_teaches(tmp_path):
    text = frugalfl("--help", cwd=tmp_path).stdout
    for verb in ("simulate", "export", "report", "energy", "doctor"):
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
    records = json.loads(frugalfl("energy", run, "--json", cwd=run).stdout)
    assert all(record["measured"] is False for record in records)


def test_energy_of_one_devices_ledger(finished):
    run, _ = finished
    ledger = next(run.glob("devices/client-*/ledger.sqlite"))
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


def test_doctor_says_what_is_estimated(tmp_path):
    assert "estimated" in frugalfl("doctor", cwd=tmp_path).stdout
    findings = json.loads(frugalfl("doctor", "--json", cwd=tmp_path).stdout)
    assert findings["parts"]["server"]["version"]
    assert findings["interpreters"]["ai-edge-litert"]["version"]


def test_a_verb_without_its_packages_says_what_to_install(tmp_path):
    """A child interpreter in which pyarrow is missing, as on a device with the base only."""
    program = (
        "import sys\n"
        "sys.modules['pyarrow'] = None\n"  # the interpreter's own way to make an import fail
        "from frugalfl.cli import main\n"
        "sys.argv = ['frugalfl', 'report', 'runs/latest']\n"
        "main()\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert result.returncode == 2
    assert "pip install 'frugalfl[server]'" in result.stderr
    assert "Traceback" not in result.stderr
