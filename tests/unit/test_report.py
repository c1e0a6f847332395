"""The report and the terminal summary of whole, partial and failed runs."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from html_page import Page
from report_runs import (
    BASELINE,
    ENERGY,
    EXPORT,
    RECOVERED,
    STAGES,
    TRAINED,
    changed,
    fill,
    record,
)
from rich.console import Console

from frugalfl.energy import parse_electricity
from frugalfl.errors import RunError
from frugalfl.settings import Settings
from frugalfl_server.report import terminal, write_report
from frugalfl_server.run import summary
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.run_list import differing, list_runs


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """An empty run, planned for 5 rounds and 2 on the pruned model."""
    settings = Settings.of(rounds=5, recover_rounds=2, clients=4, clients_per_round=4)
    return RunDirectory.create(tmp_path, "digits", settings, app=None)


@pytest.fixture
def full(run: RunDirectory) -> RunDirectory:
    fill(run, [*TRAINED, *RECOVERED, *BASELINE], ENERGY, export=EXPORT)
    return run


def report(run: RunDirectory) -> Page:
    return Page(write_report(run))


def test_importing_the_package_loads_no_drawing_library():
    code = "import sys, frugalfl_server.report; print({'matplotlib', 'jinja2'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_full_run_has_every_part(full):
    page = report(full)
    for name in ("accuracy", "traffic", "energy", "joules"):
        assert page.figure(name).count("<svg") == 2  # wide and narrow
    for table in ("federation", "sources", "clients", "model"):
        assert f"table-{table}" in page.ids
    for words in (
        "Finished: 7 of 7 rounds.", "94.4 %", "12.3 KiB", "arena 2.8 KiB or less", "34.1 dB",
        "2 × FULLY_CONNECTED", "5 + 2 recovery", "dyadic(auto) | range", "± 50 %", "pruned",
    ):  # fmt: skip
        assert words in page.text
    assert not list(full.path.glob(".*.part"))


@pytest.mark.parametrize(
    ("accuracy", "says"),
    [
        (0.955, "the model trained slim from scratch gets 4 more of 360"),
        (0.9, "the pruned model gets 16 more of 360"),
        (0.944, "both get the same number of 360"),
    ],
)
def test_the_slim_model_is_compared_in_rows(run, accuracy, says):
    slim = [replace(record, federation=summary.SLIM) for record in TRAINED]
    proof = EXPORT["verification"] | {"accuracy": dict.fromkeys(STAGES, accuracy)}
    run.write_json("slim/export.json", EXPORT | {"verification": proof})
    fill(run, [*TRAINED, *RECOVERED, *slim], ENERGY, export=EXPORT)
    page = report(run)
    assert says in page.text
    assert "table-slim" in page.ids
    assert "Finished: 7 of 7 rounds." in page.text
    assert run.read_json("summary.json")["slim"]["accuracy_int8"] == accuracy


@pytest.mark.parametrize(
    ("known", "title", "target"),
    [((1, 2, 4, 5, 7), "PR auc", "0.400 PR auc"), ((), "Accuracy", "94.0 % accuracy")],
)
def test_the_first_metric_takes_the_place_of_accuracy_where_it_is_known(run, known, title, target):
    def measured(one):
        value = 0.08 * one.round if one.round in known else None
        return replace(one, metrics={"PR_auc": value, "other": 3.0})

    fill(run, map(measured, [*TRAINED, *RECOVERED, *BASELINE]), ENERGY, export=EXPORT)
    page = report(run)
    assert f"{title} and bytes" in page.text
    assert f"{title} against bytes" in page.figure("accuracy")
    assert f"{title} against joules" in page.figure("joules")
    assert f"both directions, to {target}" in page.text
    assert f"PR auc {'0.400' if known else '–'} float; int8 –" in page.text
    assert "nan" not in page.figure("accuracy").lower()


def test_what_updates_really_travel_by_is_named_wherever_runs_are_read(run, tmp_path):
    other = RunDirectory.create(tmp_path / "other", "digits", Settings.of(rounds=5), app=None)
    really = {"uplink": "dithered(2 sigma) | rans", "downlink": "dyadic | rans"}
    run.write_json(summary.CODECS, really)
    for one in (run, other):
        fill(one, TRAINED, ENERGY, export=EXPORT)
    assert run.read_json("summary.json")["codecs"] == really
    assert other.read_json("summary.json")["codecs"]["uplink"] == "stochastic(auto) | range"
    page = report(run)
    assert "dithered(2 sigma) | rans, in place of stochastic(auto) | range" in page.text
    assert "in place of" not in report(other).text
    listed = list_runs([run.path, other.path])
    assert {"uplink", "downlink"} <= set(differing(listed))
    assert listed[0].followed["uplink"] == really["uplink"]


def test_ratios_are_those_of_the_rounds_table(full):
    rounds = RunDirectory.open(full.path).rounds
    ours = [one for one in rounds if one.federation == "frugalfl"]
    other = [one for one in rounds if one.federation == summary.BASELINE]

    def both(records):
        return sum(one.uplink_bytes + one.downlink_bytes for one in records)

    ratio = f"{both(other) / both(ours):.1f}×"
    page = report(full)
    assert f"{ratio} less" in page.text
    assert f"{ratio} fewer bytes" in page.figure("accuracy")
    trained = [one for one in ours if one.phase == "train"]
    upload = sum(one.uplink_bytes for one in trained) / sum(one.updates for one in trained)
    assert f"{616_608 / 4 / upload:.0f}× less than float32 (150.5 KiB)" in page.text
    # To the accuracy that both end with, 94 %: ours needs 5 rounds, and so does the baseline.
    assert f"{both(other) / both(trained):.1f}× less" in page.text


def test_the_page_needs_nothing_else(full):
    page = report(full)
    assert not {"script", "link", "iframe", "img", "object", "base"} & {*page.tags}
    assert "http://" not in page.html
    assert "https://" not in page.html
    assert "@import" not in page.html
    assert not re.findall(r"url\((?!#)", page.html)
    assert "@font-face" not in page.html
    for reference in page.references:
        carried = reference.startswith(("#", "data:text/csv", "data:image/svg+xml;base64,"))
        assert carried or (full.path / reference).exists(), reference


def test_ids_are_unique_and_every_reference_inside_resolves(full):
    page = report(full)
    assert len(page.ids) == len({*page.ids})
    inside = [one[1:] for one in page.references if one.startswith("#")]
    inside += re.findall(r"url\(#([^)]+)\)", page.html)
    assert inside
    assert {*inside} <= {*page.ids}


def test_colours_follow_light_and_dark(full):
    page = report(full)
    assert not re.findall(r"#0\w0\w0\w", "".join(map(page.figure, ("accuracy", "energy"))))
    assert {*re.findall(r"var\((--[\w-]+)\)", page.html)} <= {
        *re.findall(r"(--[\w-]+): #", page.html)
    }


def test_joules_are_called_estimated_wherever_they_stand(full, capsys):
    page = report(full)
    assert "3.10 J estimated" in page.text  # the rounds
    assert "Energy: 7.84 J estimated" in page.text  # the records
    for drawing in re.findall(r"<svg.*?</svg>", page.figure("energy"), re.S):
        assert ">estimated by cpu-time<" in drawing
        assert ">measured" not in drawing
        assert "url(#" in drawing  # hatched
    terminal.print_summary(full)
    assert "3.10 J estimated" in capsys.readouterr().out


def test_measured_and_estimated_joules_stay_apart(run):
    energy = [changed(one, measured=one.client == "3", method="rapl") for one in ENERGY]
    energy[0] = changed(energy[0], energy_j=None)
    rounds = [replace(one, energy_measured_j=0.25) for one in TRAINED]
    fill(run, rounds, energy)
    page = report(run)
    assert "1.25 J measured + 2.50 J estimated" in page.text
    assert "1 of 12 records without joules" in page.text
    assert ">measured by rapl<" in page.figure("energy")
    assert ">estimated by rapl<" in page.figure("energy")
    assert ">FrugalFL, measured<" in page.figure("joules")
    assert ">FrugalFL, estimated<" in page.figure("joules")


def test_ticks_are_not_cut_short(run):
    fill(run, TRAINED, [changed(one, energy_j=1 / 3) for one in ENERGY[:3]])
    assert ">0.25 J<" in report(run).figure("energy")


def test_the_servers_joules_and_grams_of_co2e_stand_apart(run):
    energy = [replace(one, grid=parse_electricity("100 g/kWh")) for one in ENERGY]
    fill(
        run, TRAINED, [*energy, record("server", "aggregate", 7.0), record("server", "export", 1.0)]
    )
    page = report(run)
    assert "Energy: 7.84 J estimated" in page.text
    assert "energy on the server 8.00 J estimated" in page.text
    assert "218 µg CO2e of estimated joules" in page.text  # 7.84 J / 3.6 MJ x 100 g
    assert "100 g/kWh (as set)" in page.text
    assert not re.search(r">(server|aggregate)<", page.figure("energy"))


def test_the_headline_has_clients_and_the_whole_run_beside_the_baseline(run, capsys):
    """A run that saves on clients and burns more on the server cannot hide it."""
    own = [record("server", "compile", 20.0), record("server", "aggregate", 7.0)]
    other = [
        replace(one, energy_estimated_j=1.25, server_estimated_j=0.75) for one in BASELINE
    ]  # 6.25 J on clients, 3.75 J on the server
    fill(run, [*TRAINED, *other], [*ENERGY, *own])
    terminal.print_summary(run)
    lines = capsys.readouterr().out.splitlines()
    (clients,) = [line for line in lines if line.startswith("energy  ")]
    (whole,) = [line for line in lines if line.startswith("energy in all")]
    assert "2.50 J estimated  (all clients" in clients
    assert "baseline 6.25 J estimated, 2.50× less" in clients
    assert "29.5 J estimated  (with the server's 27.0 J estimated" in whole
    assert "baseline 10.0 J estimated, 2.95× more" in whole
    page = report(run)
    assert "energy on the server 27.0 J estimated 3.75 J estimated 7.20× more" in page.text
    assert "energy of the whole run 29.5 J estimated 10.0 J estimated 2.95× more" in page.text


def test_training_programs_are_named_in_the_headline_of_the_bytes_that_they_are_part_of(
    run, capsys
):
    fill(run, [replace(TRAINED[0], program_bytes=2048), *TRAINED[1:]], ENERGY)
    terminal.print_summary(run)
    (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("bytes both")]
    assert line.endswith("; 2 KiB of it are training programs, sent once)"), line


def test_a_baseline_whose_server_was_not_metered_is_unknown_and_not_nothing(run, capsys):
    fill(run, [*TRAINED, *BASELINE], [*ENERGY, record("server", "aggregate", 7.0)])
    terminal.print_summary(run)
    (whole,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("energy in all")]
    assert whole.endswith("baseline unknown)")


def test_an_interrupted_run_says_so_and_what_is_missing(run):
    fill(run, TRAINED[:3], ENERGY, status="interrupted")
    page = report(run)
    assert "Interrupted after 3 of 7 rounds" in page.text
    assert "Nothing was exported" in page.text
    assert "No baseline was run" in page.text
    assert "no baseline to compare with" in page.text
    assert "table-model" not in page.ids
    assert "FedAvg" not in page.figure("accuracy")


def test_without_a_baseline_the_checkpoint_tells_the_float32_size(run):
    import numpy as np

    run.checkpoint({"weight": np.zeros(5000, np.float32)}, phase="train", round=2)
    fill(run, TRAINED[:2], status="interrupted")
    assert "40.0× less than float32 (19.5 KiB)" in report(run).text


def test_calibration_scores_the_pruned_model_and_not_the_trained_one(run):
    calibrated = replace(RECOVERED[-1], phase="calibrate", round=8, accuracy=0.91)
    fill(run, [*TRAINED, *RECOVERED, calibrated], export=EXPORT)
    page = report(run)
    assert "accuracy 95.0 % float, 5 rounds" in page.text
    assert "accuracy after training 95.0 %" in page.text
    assert "accuracy after pruning and recovery 91.0 %" in page.text
    assert "reaches 91.0 %" in page.figure("accuracy")


def test_an_unpruned_run_knows_its_float32_size_after_calibration_too(run):
    import numpy as np

    calibrated = replace(TRAINED[-1], phase="calibrate", round=6, updates=0)
    run.checkpoint({"weight": np.zeros(5000, np.float32)}, phase="train", round=5)
    fill(run, [*TRAINED, calibrated])
    assert "than float32 (19.5 KiB)" in report(run).text


def test_a_failed_run_shows_its_reason_and_runs_none_of_it(run, capsys):
    fill(run, status="failed", reason="every client failed: <script>alert(1)</script> [red]")
    page = report(run)
    assert "Failed after 0 of 7 rounds: every client failed: <script>alert(1)" in page.text
    assert "<script" not in page.html
    assert "script" not in page.tags
    assert "No round was finished" in page.text
    terminal.print_summary(run)
    assert "<script>alert(1)</script> [red]" in capsys.readouterr().out


def test_who_never_trained_and_what_stayed_whole_is_named(run):
    idle = [{"node": "7", "client": "3", "why": "rows of <b>other</b> shapes"}]
    run.write_json("set_aside.json", {"set_aside": [], "never_trained": idle})
    whole = [{"layers": ["attention.out"], "why": "it cannot be rebuilt"}]
    run.write_json("pruning.json", {"narrowed": [], "whole": whole})
    fill(run, TRAINED[:3], ENERGY)
    page = report(run)
    assert "client 3: rows of <b>other</b> shapes" in page.text
    assert "<b>other" not in page.html
    assert "attention.out: it cannot be rebuilt" in page.text


def test_a_killed_run_has_no_summary_but_a_report(run):
    fill(run, TRAINED[:1])
    (run.path / "summary.json").unlink()
    assert "Unfinished: 1 of 7 rounds" in report(run).text


def test_a_run_that_a_limit_ended_says_once_after_how_many_rounds(run):
    fill(run, TRAINED[:4])
    run.write_json("pruning.json", {"narrowed": [], "whole": []})
    run.write_json("stopped.json", {"why": "train ended after 4 of 5 rounds: accuracy is 0.95"})
    run.write_json("summary.json", summary.of_run(run, "finished", None))
    assert "Finished after 4 of 5 rounds: accuracy is 0.95." in report(run).text


def test_a_pruned_run_knows_how_large_the_whole_model_was(run):
    run.checkpoint({"w": np.zeros(9, np.float32)}, phase="recover", round=7)
    fill(run, [*TRAINED, *RECOVERED])
    assert "float32 size not known" in report(run).text
    run.write_json("pruning.json", {"narrowed": ["a"], "whole": [], "float32_bytes": 153_128})
    assert "306× less than float32 (149.5 KiB)" in report(run).text


def test_a_metric_of_the_tasks_own_is_a_heading_as_it_is_written(run):
    fill(run, [replace(one, metrics={"rmse_kW": 0.5}) for one in TRAINED])
    assert "rmse kW (higher is better)" in report(run).text


def test_a_baseline_that_stopped_early_is_called_so(run):
    fill(run, [*TRAINED, *BASELINE[:2]])
    assert "The baseline stopped after 2 of 5 rounds" in report(run).text


def test_more_bytes_than_the_baseline_are_not_called_less(run):
    fill(run, [*TRAINED, *(replace(one, downlink_bytes=1, uplink_bytes=999) for one in BASELINE)])
    page = report(run)
    assert "more than the baseline" in page.text
    assert "more bytes" in page.figure("accuracy")


def test_a_model_that_never_ran_in_tflite_micro(run):
    export = json.loads(json.dumps(EXPORT))
    export["arena_bytes"] = export["verification"]["arena_bytes"] = None
    export["verification"]["micro_max_lsb"] = None
    export["verification"]["micro_bytes_differing"] = None
    export["verification"]["accuracy"]["tflite_micro_int8"] = None
    fill(run, TRAINED, export=export)
    page = report(run)
    assert "arena not measured" in page.text
    assert "not checked: TFLite-Micro was not installed" in page.text


def test_a_large_federation_keeps_the_page_small(run):
    energy = [replace(one, client=str(n)) for n in range(2000) for one in ENERGY[:3]]
    rounds = [replace(TRAINED[-1], round=number) for number in range(1, 1001)]
    fill(run, rounds, energy)
    page = report(run)
    assert "The 60 clients with the most joules, of 2000" in page.text
    assert len(page.html) < 500_000


def test_the_summary_of_no_round_has_no_zeros_for_unknowns(run):
    fill(run)
    known = run.read_json("summary.json")
    assert known["accuracy"] is None
    assert known["energy_j"] == {"measured": None, "estimated": None}
    assert known["uplink_bytes_per_update"] is None


def test_unknown_joules_are_unknown(run):
    rounds = [replace(one, energy_estimated_j=None) for one in TRAINED]
    fill(run, rounds, [changed(one, energy_j=None) for one in ENERGY])
    page = report(run)
    assert "Energy: unknown" in page.text
    assert "unknown; 12 readings without joules" in page.text
    assert "figure-energy" not in page.ids
    assert not re.search(r"\d m?J\b", page.text)


def test_the_page_says_how_to_make_each_part_anew(full):
    page = report(full)
    for command in ("report", "export"):
        assert f"frugalfl {command} {full.path}" in page.text
    assert page.text.count(f"frugalfl report {full.path}") >= 7  # under each figure and table
    assert "frugalfl simulate APP --baseline" in page.text


def test_a_damaged_file_is_a_run_error(full):
    (full.path / "model" / "export.json").write_text("{")
    with pytest.raises(RunError, match=r"export\.json"):
        write_report(full)


def test_plain_lines_into_a_pipe(full, capsys):
    write_report(full)
    (full.path / "devices").mkdir()
    terminal.print_summary(full)
    lines = capsys.readouterr().out.splitlines()
    assert not [line for line in lines if "╭" in line or "\x1b" in line]
    for file in ("model/model_int8.tflite", "report.html", "devices", "energy.parquet"):
        assert [line for line in lines if line.endswith(str(full.path / file))]


def test_a_box_of_80_columns_on_a_terminal(full, capsys, monkeypatch):
    monkeypatch.setattr(
        terminal, "Console", lambda **_: Console(force_terminal=True, width=80, no_color=True)
    )
    write_report(full)
    terminal.print_summary(full)
    lines = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out).splitlines()
    box = [line for line in lines if line[:1] in "╭│╰"]
    assert {len(line) for line in box} == {80}
    assert any("accuracy int8" in line and "94.4 %" in line for line in box)
    assert lines[-1].endswith(str(full.path / "energy.parquet"))
