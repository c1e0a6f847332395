"""Metrics of a task: scikit-learn's values, what is unknown, and what cannot be measured."""

import json
import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from frugalfl import Task
from frugalfl.errors import TaskError, UsageError
from frugalfl.metrics import (
    Measure,
    add_direction,
    average_precision,
    measure,
    roc_auc,
    two_class_average_precision,
    two_class_roc_auc,
)
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.records import RoundRecord

BOTH = pytest.mark.parametrize("metric", [average_precision, roc_auc])


@st.composite
def rankings(draw):
    """Scores with many ties or few, and targets of which at least one is of each class."""
    rows = draw(st.integers(2, 60))
    level = st.integers(0, draw(st.sampled_from([1, 3, 255]))).map(float)
    score = level | st.floats(-1e3, 1e3, width=32)
    scores = draw(st.lists(score, min_size=rows, max_size=rows))
    y = draw(st.lists(st.integers(0, 1), min_size=rows - 2, max_size=rows - 2))
    return np.array(scores, np.float32), np.array(draw(st.permutations([0, 1, *y])))


@given(rankings())
def test_they_are_those_of_scikit_learn(ranking):
    scores, y = ranking
    assert average_precision(scores, y) == pytest.approx(average_precision_score(y, scores))
    assert roc_auc(scores, y) == pytest.approx(roc_auc_score(y, scores))


@given(rankings())
def test_two_class_outputs_are_ranked_by_their_margin(ranking):
    scores, y = ranking
    outputs = np.stack([-scores, scores], axis=1)
    assert two_class_average_precision(outputs, y) == pytest.approx(average_precision(scores, y))
    assert two_class_roc_auc(outputs, y) == pytest.approx(roc_auc(scores, y))


@BOTH
def test_one_class_or_a_diverged_model_is_unknown(metric):
    scores = np.array([0.1, 0.2, 0.3])
    for values, y in (
        (scores, np.zeros(3, int)), (scores, np.ones(3, int)), (scores * np.nan, np.array([0, 1, 1])),
    ):  # fmt: skip
        assert math.isnan(metric(values, y))
        assert measure({"it": metric}, values, y) == {"it": None}


@BOTH
@pytest.mark.parametrize(
    ("scores", "y", "says"),
    [
        (np.zeros(3), np.zeros(4), r"shape \(3,\) and targets \(4,\)"),
        (np.zeros((3, 2)), np.zeros(3), "two_class_"),
        (np.arange(3.0), np.array([0, 1, 2]), r"\[0, 1, 2\], not 0 and 1"),
    ],
)
def test_what_cannot_be_ranked_is_said_in_one_line(metric, scores, y, says):
    with pytest.raises(TaskError, match=says) as caught:
        metric(scores, y)
    assert "\n" not in str(caught.value)
    with pytest.raises(TaskError, match="metric 'it' failed: "):
        measure({"it": metric}, scores, y)


def test_outputs_of_three_classes_have_no_margin():
    with pytest.raises(TaskError, match=r"\(4, 3\), not \(rows, 2\)"):
        two_class_roc_auc(np.zeros((4, 3)), np.array([0, 1, 0, 1]))


def test_a_metric_cannot_change_what_the_next_one_sees():
    def greedy(outputs, _):
        outputs[:] = 0
        return 1.0

    outputs = np.ones((2, 2), np.float32)
    with pytest.raises(TaskError, match="metric 'greedy' failed: ValueError"):
        measure({"greedy": greedy}, outputs, np.array([0, 1]))
    assert outputs.all() and outputs.flags.writeable


@pytest.mark.parametrize("name", ["accuracy", "area under", ""])
def test_a_name_that_cannot_be_a_column_is_refused(name):
    with pytest.raises(UsageError, match="needs another name"):
        Task("t", model=None, client_data=None, public_data=None, metrics={name: roc_auc})


PLAIN = ("train", 1, 0.9, 0.1, 2, 2, 0, 0, None, 10.0, 1.0)


def test_rounds_keep_their_metrics_and_older_ones_have_none(tmp_path):
    about = {
        "task": "t",
        "settings": {},
        "versions": {},
        "host": {},
        "app": None,
        "started_unix_s": 0.0,
    }
    (tmp_path / "run.json").write_text(json.dumps({**about, "name": "r"}))
    run = RunDirectory(tmp_path)
    run.add_round(RoundRecord("older", *PLAIN))
    run.flush()
    assert RunDirectory.open(tmp_path).rounds[0].metrics == {}
    run.add_round(RoundRecord("new", *PLAIN, metrics={"a_b": 0.25, "unknown": None}))
    position = run.position()
    run.flush()
    read = RunDirectory.open(tmp_path)
    assert read.rounds[0].metrics == {"a_b": None, "unknown": None}
    assert read.rounds[1] == run.rounds[1]
    read.go_back_to(position)
    assert read.rounds[1] == run.rounds[1]


@pytest.mark.parametrize("wrapped", [False, True])
def test_scikit_learns_own_functions_take_the_targets_first(wrapped):
    """r2 of outputs against targets is another number than that of targets against outputs."""
    from sklearn.metrics import fbeta_score, r2_score

    rng = np.random.default_rng(3)
    y = rng.normal(size=40).astype(np.float32)
    outputs = (y * 2 + rng.normal(size=40)).astype(np.float32)
    given = Measure(r2_score, "higher", "") if wrapped else r2_score
    assert measure({"r2": given}, outputs, y) == {"r2": pytest.approx(r2_score(y, outputs))}
    assert r2_score(y, outputs) != pytest.approx(r2_score(outputs, y))
    labels, said = (y > 0).astype(int), (outputs > 1).astype(int)
    f2 = partial(fbeta_score, beta=2)
    assert measure({"f2": f2}, said, labels)["f2"] == fbeta_score(labels, said, beta=2)


def test_a_librarys_metric_that_fails_is_named():
    from sklearn.metrics import accuracy_score

    with pytest.raises(TaskError, match="metric 'right' failed: ValueError"):
        measure({"right": accuracy_score}, np.ones((4, 2), np.float32), np.arange(4) % 2)


def test_errors_are_better_lower_or_must_say_so():
    from sklearn.metrics import accuracy_score, mean_absolute_error

    assert add_direction("far", mean_absolute_error).better == "lower"
    assert add_direction("right", accuracy_score) == Measure(accuracy_score)
    with pytest.raises(TaskError, match=r"metric 'mae' .* Measure\(mae, \"lower\"\)"):
        add_direction("mae", lambda outputs, y: 0.0)
    assert add_direction("mae", Measure(lambda outputs, y: 0.0, "lower")).better == "lower"
