"""What is counted of a final model's answers, and what a report makes of it."""

import base64
import csv
import io
import json
import re
from urllib.parse import unquote

import numpy as np
import pytest
from html_page import Page
from report_runs import ENERGY, EXPORT, RECOVERED, TRAINED, fill

from frugalfl.errors import RunError
from frugalfl.kinds import KINDS, kind_named
from frugalfl.settings import Settings
from frugalfl_server.report import write_report
from frugalfl_server.report.confusion_figure import confusion_panels
from frugalfl_server.report.final_outcomes import read_outcomes
from frugalfl_server.report.scores_table import class_sheet, error_sheet, output_sheet
from frugalfl_server.report.sheet import Sheet
from frugalfl_server.report.spread_figure import spread_panels
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.outcomes import BINS, FLOAT, INT8, count_outcomes, write_outcomes

RNG = np.random.default_rng(0)


@pytest.fixture
def run(tmp_path):
    settings = Settings.of(rounds=5, recover_rounds=2, clients=4, clients_per_round=4)
    return RunDirectory.create(tmp_path, "anything", settings, app=None)


def outputs(shape, *more):
    return RNG.normal(size=(*shape, *more)).astype(np.float32)


def counted(kind, targets, *stages):
    return count_outcomes(kind_named(kind), dict(zip((FLOAT, INT8), stages, strict=False)), targets)


def kept(run, outcomes, about=None):
    """The outcomes as a report reads them."""
    fill(run, [*TRAINED, *RECOVERED], ENERGY, export=EXPORT)
    write_outcomes(run.path / "model", outcomes)
    if about:
        (run.path / "model" / "model_card.json").write_text(json.dumps({"about": about}))
    return read_outcomes(run)


def drawn(outcomes):
    """The drawings of what a final model said."""
    panels = [*confusion_panels(outcomes), *spread_panels(outcomes)]
    return "".join(one.svg for one in panels)


def downloads(run, page):
    """The files that a page carries: name to content."""
    found = dict(re.findall(rf'<a download="{run.name}-([^"]+)" href="([^"]+)"', page.html))
    return {
        name: base64.b64decode(link.partition("base64,")[2]).decode()
        if "base64," in link
        else unquote(link.partition(",")[2])
        for name, link in found.items()
    }


def test_figures_of_classes_are_scikit_learns(run):
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    y = RNG.integers(0, 4, 200)
    said = outputs((200,), 5)  # a fifth class that nobody is of
    found = kept(run, counted("classification", y, said, said[::-1].copy()))
    guess = said.argmax(1)
    assert (found.matrices[FLOAT] == confusion_matrix(y, guess, labels=range(5))).all()
    theirs = np.transpose(
        precision_recall_fscore_support(y, guess, labels=range(5), zero_division=0)
    )
    for (_, support, *ours), their in zip(class_sheet(found).rows, theirs, strict=False):
        assert support == their[3]
        assert [value or 0 for value in ours[:3]] == pytest.approx(their[:3])
    assert class_sheet(found).rows[4][3] is None  # recall of a class without rows is not known


def test_binary_labels_and_segments_are_counted_too(run):
    y = np.array([1, 1, 0, 0, 1])[:, None]
    said = np.array([2.0, -1, 3, -2, 1], np.float32)[:, None]
    found = kept(run, counted("binary", y, said))
    assert found.matrices[FLOAT].tolist() == [[1, 1], [1, 2]]
    labels = counted("multi-label", np.eye(3)[[0, 1, 2, 0]], 2 * np.eye(3)[[0, 1, 1, 1]] - 1)
    assert labels["stages"][FLOAT]["tp_fp_tn_fn"] == [[1, 0, 2, 1], [1, 2, 1, 0], [0, 0, 3, 1]]
    pixels = kept(
        run, counted("segmentation", RNG.integers(0, 2, (3, 4, 4)), outputs((3, 2), 4, 4))
    )
    assert pixels.matrices[FLOAT].sum() == 3 * 4 * 4
    assert pixels.counted == "places"
    assert "IoU, float" in class_sheet(pixels).header


def test_values_are_counted_and_their_errors_known(run):
    y = RNG.normal(100, 20, (300, 1)).astype(np.float32)
    said = y + RNG.normal(3, 5, y.shape).astype(np.float32)
    found = kept(run, counted("regression", y, said, said + 1), {"unit": "mg/dl"})
    assert found.joint[FLOAT].shape == (BINS, BINS)
    assert found.joint[FLOAT].sum() + found.beyond == found.values == 300
    errors = {row[0]: row[1:] for row in error_sheet(found).rows}
    assert errors["mean of predicted minus true"] == pytest.approx(
        [float((said - y).mean()), float((said - y).mean()) + 1], rel=1e-4
    )
    assert errors["largest absolute error"][0] == pytest.approx(np.abs(said - y).max())
    assert output_sheet(found) is None
    assert "predicted value (mg/dl)" in drawn(found)
    assert "true value (mg/dl)" in drawn(found)


def test_one_far_value_does_not_hide_the_others(run):
    y = np.concatenate([RNG.normal(size=(400, 1)), [[1e6]]])
    found = kept(run, counted("regression", y, y + 0.1))
    assert 1 <= found.beyond < 10
    assert found.edges[-1] < 100
    assert f"{found.beyond} of 401 pairs lie beyond the axes" in Page(write_report(run)).text


def test_several_outputs_have_figures_each(run):
    y = outputs((50,), 3)
    found = kept(run, counted("regression", y, y * [1, 1, 0]), {"classes": ["x", "y", "z"]})
    rows = {row[0]: row[1:] for row in output_sheet(found).rows}
    assert rows["x"][0] == 0 < rows["z"][0]
    assert ">values<" in drawn(found)  # not rows


def test_errors_of_rebuilt_rows(run):
    x = outputs((100,), 6)
    found = kept(run, counted("reconstruction", x, x + 0.1, x + 0.2))
    assert found.errors[FLOAT].sum() == 100
    assert found.figures[INT8]["mse"] == pytest.approx(0.04, rel=1e-4)
    assert "mean squared error of a row" in drawn(found)
    assert "99 % of rows are below" in [row[0] for row in error_sheet(found).rows]


@pytest.mark.parametrize("kind", [*KINDS, "binary(0.5)"])
def test_of_no_rows_and_of_numbers_that_are_none_nothing_breaks(run, kind):
    shape = {"classification": (0, 3), "segmentation": (0, 3, 2)}.get(kind, (0, 1))
    y = np.zeros((0, *shape[2:]) if len(shape) > 2 or kind == "classification" else shape, int)
    assert counted(kind, y, np.zeros(shape, np.float32))["stages"] == {}
    if kind in ("regression", "reconstruction"):
        broken = kept(run, counted(kind, np.zeros((4, 2)), np.full((4, 2), np.nan, np.float32)))
        assert set(broken.figures[FLOAT].values()) == {None}
        assert ">nan<" not in drawn(broken)


def test_files_stay_small_however_much_there_is():
    many = counted("classification", RNG.integers(0, 900, 5000), outputs((5000,), 900))
    more = counted("classification", RNG.integers(0, 2000, 50), outputs((50,), 2000))
    values = counted("regression", outputs((5000,), 100), outputs((5000,), 100))
    assert "confusion" not in many["stages"][FLOAT]
    assert more["stages"] == {}
    assert max(len(json.dumps(one)) for one in (many, more, values)) < 20_000


def test_names_of_classes_are_the_tasks_and_do_nothing(run):
    y = np.array([0, 1, 1])
    names = ["=cmd|' /C calc'!A0", "<script>alert(1)</script>"]
    kept(run, counted("classification", y, outputs((3,), 2)), {"classes": names})
    page = Page(write_report(run))
    assert "<script" not in page.html
    assert "<script>alert(1)</script>" in page.text
    rows = list(csv.reader(io.StringIO(downloads(run, page)["classes.csv"])))
    assert rows[1][0].startswith("'=cmd")


def test_tables_and_drawings_can_be_taken_along(run):
    from xml.etree import ElementTree

    y = RNG.integers(0, 3, 60)
    kept(run, counted("classification", y, outputs((60,), 3), outputs((60,), 3)))
    page = Page(write_report(run))
    files = downloads(run, page)
    wanted = {f"{name}.csv" for name in ("rounds", "clients", "settings", "energy", "classes")}
    drawn = {
        "accuracy-by-bytes.svg",
        "traffic.svg",
        "energy.svg",
        "accuracy-by-joules.svg",
        "confusion-int8.svg",
    }
    assert wanted | drawn <= {*files}
    for name, content in files.items():
        if name.endswith(".svg"):
            assert ElementTree.fromstring(content).tag.endswith("svg"), name
            assert "var(--" not in content
    rounds = list(csv.DictReader(io.StringIO(files["rounds.csv"])))
    assert [float(row["accuracy"]) for row in rounds] == pytest.approx(
        [one.accuracy for one in (*TRAINED, *RECOVERED)]
    )
    assert "energy_measured_j" not in rounds[0]  # nothing was measured, so it is not 0


def test_unknown_cells_are_empty_and_dashes():
    sheet = Sheet("any", ["a"], [[None], [-0.5], ["-1+1"]])
    assert sheet.csv.splitlines() == ["a", '""', "-0.5", "'-1+1"]


def test_changed_settings_are_marked(run):
    fill(run, TRAINED)
    page = Page(write_report(run))
    changed = page.part("table", "changed")
    assert "recover-rounds" in changed
    assert ">2</code></td><td><code>40<" in changed
    assert "uplink-budget" not in changed
    assert "4 of " in page.text
    assert " differ from their defaults" in page.text


def test_a_run_from_before_has_no_such_part(run):
    fill(run, [*TRAINED, *RECOVERED], ENERGY, export=EXPORT)
    page = Page(write_report(run))
    assert "outcomes" not in page.ids
    assert "What the final model" not in page.text
    assert "figure-rounds" in page.ids


@pytest.mark.parametrize(
    "broken",
    [
        {"confusion": [[1, 2], [3]]},
        {"confusion": [[1, -2], [3, 4]]},
        {"right_said_true": [[1] * 3] * 5000},
        {"tp_fp_tn_fn": "all"},
        {"joint": {"cells": [10**9], "counts": [1]}},
        {"errors": [1, 2, 3]},
    ],
)
def test_outcomes_that_cannot_be_are_one_line(run, broken):
    kept(run, counted("classification", np.array([0, 1]), outputs((2,), 2)))
    write_outcomes(
        run.path / "model", {"kind": "classification", "rows": 2, "stages": {FLOAT: broken}}
    )
    with pytest.raises(RunError):
        write_report(run)


def test_a_flipped_digit_is_found(run):
    kept(run, counted("classification", np.array([0, 1]), outputs((2,), 2)))
    path = run.path / "model" / "outcomes.json"
    path.write_text(path.read_text().replace('"rows": 2', '"rows": 9'))
    with pytest.raises(RunError, match=r"outcomes\.json"):
        write_report(run)
