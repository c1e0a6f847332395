"""One page of several runs."""

import json
from dataclasses import replace

import pytest
from html_page import Page
from report_runs import TRAINED, fill
from typer.testing import CliRunner

from frugalfl.errors import UsageError
from frugalfl.settings import Settings
from frugalfl_server.cli.report import command
from frugalfl_server.report import write_comparison
from frugalfl_server.report.seeds import end_sheet, read_compared, round_sheet
from frugalfl_server.run.directory import RunDirectory


@pytest.fixture
def runs(tmp_path):
    """Three runs that differ in seed, accuracy and last round: ``runs(clients=...)``."""

    def make(*changes):
        paths = []
        for seed, change in enumerate(changes):
            settings = Settings.of(rounds=5, seed=seed, clients=12).changed(**change)
            run = RunDirectory.create(tmp_path / "runs", "digits", settings, app=None)
            rounds = [replace(one, accuracy=one.accuracy - 0.1 * seed) for one in TRAINED]
            fill(run, rounds[: 5 - (seed == 2)])
            paths.append(run.path)
        return paths

    return make


def test_runs_that_differ_in_their_seed_have_a_band(runs):
    paths = runs({}, {}, {})
    page = Page(write_comparison(paths))
    assert page.text.count("3 runs that share all settings but the seed (0, 1, 2)") == 1
    assert "Rounds 1 to 4, which all of them finished" in page.text
    assert "FillBetween" in page.html or "PolyCollection" in page.html
    compared = read_compared(paths)
    ends = {row[0]: row[1:] for row in end_sheet(compared).rows}
    assert ends["mean"][2] == pytest.approx((0.95 + 0.85 + 0.65) / 3)
    assert ends["standard deviation of 3"][2] == pytest.approx(0.1527525)
    assert ends["mean"][-2] is None  # nothing was measured
    assert len(round_sheet(compared).rows) == 5 + 5 + 4


def test_runs_that_differ_in_more_have_none_and_are_told_apart(runs):
    page = Page(write_comparison(runs({}, {"clients": 20})))
    assert "differ in more than the seed" in page.text
    assert "clients (12; 20)" in page.text
    assert "PolyCollection" not in page.html
    assert "mean" not in page.part("table", "ends")
    assert ">run 2<" in page.html


def test_runs_with_other_measures_beside_the_first_share_what_all_have(runs, tmp_path):
    (path,) = runs({})
    more = RunDirectory.create(tmp_path / "runs", "motion", Settings(), app=None)
    fill(more, [replace(one, metrics={"f1": 0.5}) for one in TRAINED])
    page = Page(write_comparison([more.path, path]))
    assert "F1" not in page.text
    assert "motion · digits" in page.text


def test_the_command_takes_several_runs(runs, tmp_path):
    paths = list(map(str, runs({}, {})))
    done = CliRunner().invoke(command, [*paths, "--out", str(tmp_path / "both.html")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "both.html").exists()
    told = CliRunner().invoke(command, [*paths, "--json"])
    assert [one["rounds"] for one in json.loads(told.stdout)] == [5, 5]


def test_what_cannot_be_compared_is_refused_in_one_line(runs, tmp_path):
    paths = runs({}, {})
    with pytest.raises(UsageError, match="named twice"):
        write_comparison([paths[0], paths[0]])
    other = RunDirectory.create(tmp_path / "runs", "diabetes", Settings(), app=None)
    fill(other, [replace(one, accuracy=None, metrics={"rmse": 57.0}) for one in TRAINED])
    measured = [{"name": "rmse", "better": "lower", "unit": ""}]
    other.write_json("measures.json", {"kind": "regression", "measures": measured})
    with pytest.raises(UsageError, match=r"-digits.* by accuracy, .*-diabetes by RMSE\): report"):
        write_comparison([paths[0], other.path])
    empty = RunDirectory.create(tmp_path / "runs", "digits", Settings(), app=None)
    fill(empty)
    with pytest.raises(UsageError, match="no finished round"):
        write_comparison([paths[0], empty.path])
    with pytest.raises(UsageError, match="--out"):
        write_comparison(paths, paths[0] / "run.json" / "page.html")
    done = CliRunner().invoke(command, [str(paths[0]), "--out", "x.html"])
    assert isinstance(done.exception, UsageError)
