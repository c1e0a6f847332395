"""A run that was killed between two writes of its tables: its checkpoint has the other rounds."""

import json
import shutil

import pytest
from report_runs import ENERGY, TRAINED
from typer.testing import CliRunner

import frugalfl
from frugalfl.settings import Settings
from frugalfl_server.cli.report import command as report
from frugalfl_server.run.checkpoint import FILE
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.run_list import list_runs
from frugalfl_server.run.sink import RunSink


@pytest.fixture
def killed(tmp_path):
    """Five rounds are finished, and the tables on the disk are two rounds long."""
    run = RunDirectory.create(tmp_path, "digits", Settings(), app=None)
    run.rounds, run.energy = list(TRAINED[:2]), list(ENERGY[:2])
    run.flush()
    for number, record in enumerate(TRAINED[2:], 2):
        run.rounds.append(record)
        run.energy.append(ENERGY[number])
        RunSink(run).write_checkpoint({"phase": "train", "done": record.round, "model": {}})
    return run.path


def test_reports_lists_and_notebooks_have_all_of_its_rounds(killed):
    assert len(RunDirectory.open(killed).rounds) == 2
    (listed,) = list_runs([killed])
    assert (listed.status, listed.value, listed.bytes) == (
        "unfinished", TRAINED[4].accuracy, sum(r.uplink_bytes + r.downlink_bytes for r in TRAINED),
    )  # fmt: skip
    run = frugalfl.open_run(killed)
    assert run.summary["rounds"] == run.rounds.num_rows == run.energy.num_rows == 5
    told = CliRunner().invoke(report, [str(killed), "--json"])
    assert json.loads(told.stdout)["rounds"] == 5
    assert CliRunner().invoke(report, [str(killed)]).exit_code == 0
    assert "5 of 120 rounds" in (killed / "report.html").read_text()
    assert len(RunDirectory.open(killed).rounds) == 2  # who looks changes nothing


def test_tables_that_have_more_than_the_checkpoint_are_as_they_are(killed):
    run = RunDirectory.open(killed)
    run.rounds = list(TRAINED)
    run.flush()
    (killed / FILE).write_bytes(b"torn")
    assert frugalfl.open_run(killed).summary["rounds"] == 5


def test_nothing_of_it_is_there_before_the_first_write(killed):
    for table in killed.glob("*.parquet"):
        table.unlink()
    shutil.rmtree(killed / "checkpoints")
    (listed,) = list_runs([killed])
    assert (listed.status, listed.value, listed.bytes) == ("unfinished", None, None)
