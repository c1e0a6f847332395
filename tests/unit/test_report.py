"""The report of runs that went well, were stopped, or failed."""

import json
import re
from dataclasses import replace

import pytest

from frugalfl.energy import EnergyRecord
from frugalfl.settings import Settings
from frugalfl_server import summary
from frugalfl_server.records import RoundRecord
from frugalfl_server.report import write_report
from frugalfl_server.report.terminal import print_summary
from frugalfl_server.run_directory import RunDirectory

ROUND = RoundRecord("frugalfl", "train", 1, 0.9, 0.4, 2, 2, 1000, 3000, None, 2.0, 0.5)
BASE = replace(ROUND, federation=summary.BASELINE, uplink_bytes=400_000, downlink_bytes=400_000)
ENERGY = EnergyRecord(
    "r", "0", 1, "train", 0.0, 1.0, 0.5, 2.0, None, False, "cpu-time", "generic", 0.5, 30
)
EXPORT = {
    "parameters": 9802, "macs": 31552, "float_bytes": 44112, "int8_bytes": 12608, "arena_bytes": None,
    "verification": {
        "rows": 360, "sqnr_db": 34.9, "micro_max_lsb": None, "micro_bytes_differing": None,
        "accuracy": {"pytorch": 0.9, "litert_float": 0.9, "litert_int8": 0.89,
                     "litert_int8_reference": 0.88, "tflite_micro_int8": None},
        "agreement": {"pytorch": 1.0, "litert_float": 1.0, "litert_int8": 0.99,
                      "litert_int8_reference": 0.98, "tflite_micro_int8": None},
        "latency_us_host": {"litert_float": 2.9, "litert_int8": 2.6}, "operators": ["CONV_2D"],
    },
}  # fmt: skip


@pytest.fixture
def run(tmp_path):
    """A run to be filled: ``run(rounds, energy, status, reason, export)`` returns its page."""

    def make(rounds=(), energy=(), status="finished", reason=None, export=None):
        directory = RunDirectory.create(tmp_path, "digits", Settings(), app=None)
        for record in rounds:
            directory.add_round(record)
        directory.energy += energy
        directory.flush()
        if export:
            directory.write_json("model/export.json", export)
        directory.write_json("summary.json", summary.of_run(directory, status, reason))
        print_summary(directory)
        return write_report(RunDirectory.open(directory.path)).read_text()

    return make


def test_a_whole_run(run):
    page = run(
        [ROUND, replace(ROUND, round=2), BASE, replace(BASE, round=2)], [ENERGY], export=EXPORT
    )
    assert page.count("<svg") == 3
    assert "Flower FedAvg, float32" in page
    assert "88.0%" in page  # int8 accuracy, from LiteRT where TFLite-Micro does not run
    assert "TFLite-Micro does not run on this machine" in page


def test_the_factor_is_that_of_the_tables(run):
    page = run([ROUND, BASE], [ENERGY])
    assert "200 times more" in page  # 800,000 B against 4,000 B


def test_the_page_needs_nothing_but_itself(run):
    page = run([ROUND, BASE], [ENERGY], export=EXPORT)
    links = re.findall(r'(?:src|href)="([^"#]+)"', page)
    assert not [link for link in links if "//" in link]
    assert "<script" not in page


def test_every_joule_that_was_not_measured_is_called_estimated(run):
    page = run([ROUND], [ENERGY])
    assert re.findall(r"J (\w+)", page)
    assert set(re.findall(r"\d J (\w+)", page)) == {"estimated"}
    assert "Hatched: estimated, not measured" in page


def test_measured_joules_stand_apart(run):
    measured = replace(ENERGY, measured=True, method="rapl", energy_j=7.0)
    page = run([replace(ROUND, energy_measured_j=7.0)], [ENERGY, measured])
    assert "7.00 J measured + 2.00 J estimated" in page


def test_unknown_joules_are_unknown(run):
    page = run([replace(ROUND, energy_estimated_j=None)], [replace(ENERGY, energy_j=None)])
    assert "No joules are known" in page


def test_an_interrupted_run_says_so(run):
    assert "interrupted after 1 rounds" in run([ROUND], [ENERGY], status="interrupted")


def test_a_failed_run_gives_its_reason_as_text(run):
    page = run([], [], status="failed", reason="task said <script>alert(1)</script>")
    assert "failed after 0 rounds" in page
    assert "&lt;script&gt;" in page
    assert "<script" not in page


def test_the_terminal_names_the_files(run, capsys):
    run([ROUND, BASE], [ENERGY], export=EXPORT)
    text = capsys.readouterr().out
    assert "estimated" in text
    assert re.search(r"energy ledger +\S+energy.parquet", text)


def test_the_summary_of_no_round_has_no_zeros_for_unknowns(run, tmp_path):
    run([], [])
    known = json.loads((tmp_path / "latest" / "summary.json").read_text())
    assert known["accuracy"] is None
    assert known["energy_j"] == {"measured": None, "estimated": None}
    assert known["uplink_bytes_per_update"] is None
