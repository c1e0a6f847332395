"""What a task is measured by: found out, asked for, and computed from sums that add up."""

import math
from functools import partial

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from frugalfl import Examples, Task
from frugalfl.errors import TaskError, UsageError
from frugalfl.kinds import KINDS, kind_named, kind_of, scoring_of
from frugalfl.metrics import Measure

ROWS = 24
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, 8)).astype("f4")
ZERO_ONE = (X[:, :1] > 0).astype("f4")


def task(loss="cross_entropy", **more):
    return Task("t", model=lambda: None, client_data=None, public_data=None, loss=loss, **more)


def found(outputs, y, loss="cross_entropy", **more):
    return kind_of(task(loss, **more), outputs, Examples(X, y), "public rows")


def logits(o, t):
    return functional.binary_cross_entropy_with_logits(o, t)


def flat_logits(o, t):
    return functional.binary_cross_entropy_with_logits(o[:, 0], t)


def squared(o, t):
    return functional.mse_loss(o, t)


@pytest.mark.parametrize(
    ("outputs", "y", "loss", "kind"),
    [
        (torch.zeros(ROWS, 3), np.arange(ROWS) % 3, "cross_entropy", "classification"),
        (torch.zeros(ROWS, 3, 4), np.zeros((ROWS, 4), int), "cross_entropy", "segmentation"),
        (torch.zeros(ROWS, 1), ZERO_ONE, logits, "binary"),
        (torch.zeros(ROWS, 1), ZERO_ONE[:, 0], flat_logits, "binary"),
        (torch.zeros(ROWS, 1), ZERO_ONE, functional.binary_cross_entropy, "binary(0.5)"),
        (torch.zeros(ROWS, 4), (X[:, :4] > 0).astype("f4"), logits, "multi-label"),
        (torch.zeros(ROWS, 1), X[:, :1], squared, "regression"),
        (torch.zeros(ROWS), X[:, 0], functional.l1_loss, "regression"),
        (torch.zeros(ROWS, 2), X[:, :2], functional.huber_loss, "regression"),
        (torch.zeros(ROWS, 8), X, squared, "reconstruction"),
    ],
)
def test_the_kind_is_found_out_from_rows_and_loss(outputs, y, loss, kind):
    assert found(outputs, y, loss).name == kind


@pytest.mark.parametrize(
    ("outputs", "y", "loss", "says"),
    [
        (torch.zeros(ROWS, 1), ZERO_ONE, squared, 'say what it learns: Task(..., kind="binary")'),
        (torch.zeros(ROWS, 3), np.arange(ROWS)[:, None] % 3, "cross_entropy", "write y[:, 0]"),
        (torch.zeros(ROWS, 3), np.arange(ROWS) % 4, "cross_entropy", "classes go from 0 to 3"),
        (torch.zeros(ROWS, 3), np.full(ROWS, -100), "cross_entropy", "classes go from -100"),
        (torch.zeros(ROWS, 3), np.eye(3, dtype="f4")[np.arange(ROWS) % 3], "cross_entropy", "targets"),
        (torch.zeros(ROWS, 1), X[:, 0], squared, "compares every row with every other"),
        (torch.zeros(ROWS, 1), X[:, :2], squared, "outputs have shape (24, 1), targets (24, 2)"),
        ((torch.zeros(1), torch.zeros(1)), ZERO_ONE, squared, "returns a tuple"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_one_line(outputs, y, loss, says):
    with pytest.raises(TaskError) as error:
        found(outputs, y, loss)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_task_may_say_its_kind_and_only_a_known_one():
    assert found(torch.zeros(ROWS, 1), ZERO_ONE, squared, kind="regression").name == "regression"
    with pytest.raises(UsageError, match="it is one of classification, binary"):
        kind_named("regresion")


def test_of_another_number_of_classes_the_kind_says_so():
    with pytest.raises(TaskError, match="targets of a binary task are 0 or 1"):
        found(torch.zeros(ROWS, 1), X[:, :1], logits, kind="binary")


def scores(kind, outputs, y):
    return scoring_of(task(), kind_named(kind)).score(np.asarray(outputs, "f4"), np.asarray(y))


@given(st.integers(0, 2**32 - 1), st.integers(2, 60))
@settings(max_examples=40, deadline=None)
def test_measures_are_those_of_the_field(seed, rows):
    rng = np.random.default_rng(seed)
    o, y = rng.normal(size=(rows, 3)), rng.integers(0, 3, rows)
    assert scores("classification", o, y).accuracy == pytest.approx(
        sk.accuracy_score(y, o.argmax(1))
    )
    target = rng.normal(size=(rows, 3))
    error = scores("regression", o, target).metrics
    assert error["rmse"] == pytest.approx(
        sk.root_mean_squared_error(target.ravel(), o.astype("f4").ravel()), rel=1e-5
    )
    assert error["mae"] == pytest.approx(
        sk.mean_absolute_error(target.ravel(), o.astype("f4").ravel()), rel=1e-5
    )
    assert error["r2"] == pytest.approx(
        sk.r2_score(target.ravel(), o.astype("f4").ravel()), rel=1e-4, abs=1e-5
    )
    label = rng.integers(0, 2, (rows, 1))
    label[0], label[1] = 0, 1
    yes = scores("binary", o[:, :1], label)
    assert yes.accuracy == pytest.approx(sk.accuracy_score(label, o[:, :1] > 0))
    assert yes.right == int((label == (o[:, :1] > 0)).sum())
    assert yes.metrics["f1"] == pytest.approx(sk.f1_score(label, o[:, :1] > 0))
    assert yes.metrics["roc_auc"] == pytest.approx(sk.roc_auc_score(label, o[:, :1].astype("f4")))
    several = (rng.random((rows, 3)) < 0.5).astype(int)
    several[0], several[1] = 0, 1
    many = scores("multi-label", o, several).metrics
    assert many["f1"] == pytest.approx(sk.f1_score(several, o > 0, average="macro"))
    image, mask = rng.normal(size=(rows, 2, 5)), rng.integers(0, 2, (rows, 5))
    seen = scores("segmentation", image, mask)
    assert seen.metrics["iou"] == pytest.approx(
        sk.jaccard_score(mask.ravel(), image.argmax(1).ravel(), average="macro")
    )


@given(st.sampled_from(sorted(KINDS)), st.integers(0, 2**32 - 1), st.integers(1, 19))
def test_tallies_of_parts_add_up_to_that_of_the_whole(name, seed, cut):
    rng = np.random.default_rng(seed)
    shape = {"segmentation": (20, 3, 4), "binary": (20, 1)}.get(name, (20, 3))
    outputs = rng.normal(size=shape).astype("f4")
    if name in ("classification", "segmentation"):
        y = rng.integers(0, 3, (20, *shape[2:]))
    else:
        y = rng.integers(0, 2, shape).astype("f4")
    kind = KINDS[name]
    parts = kind.tally(outputs[:cut], y[:cut]) + kind.tally(outputs[cut:], y[cut:])
    assert parts == pytest.approx(kind.tally(outputs, y), rel=1e-9)
    scoring = scoring_of(task(), kind)
    whole, summed = scoring.score(outputs, y), scoring.of_tally(parts, 20)
    assert summed.accuracy == pytest.approx(whole.accuracy)
    for measure in kind.measures:
        assert summed.metrics[measure] == pytest.approx(whole.metrics[measure])
    assert all(summed.metrics[ranking] is None for ranking in kind.rankings)


@given(st.sampled_from(sorted(KINDS)), st.integers(0, 2**32 - 1))
def test_shares_stay_between_0_and_1(name, seed):
    rng = np.random.default_rng(seed)
    shape = {"segmentation": (9, 3, 4), "binary": (9, 1)}.get(name, (9, 3))
    targets = rng.integers(
        0, 2, shape if name not in ("classification", "segmentation") else (9, *shape[2:])
    )
    scoring = scoring_of(task(), KINDS[name])
    found = scoring.score(rng.normal(size=shape).astype("f4"), targets)
    units = {one["name"]: one["unit"] for one in scoring.about()}
    known = {"accuracy": found.accuracy, **found.metrics}
    assert all(0 <= v <= 1 for k, v in known.items() if units.get(k) == "share" and v is not None)


def test_the_tasks_own_metric_comes_first_with_its_direction():
    own = {"worst": Measure(lambda o, t: float(np.abs(o - t).max()), "lower", "target")}
    scoring = scoring_of(task(metrics=own), KINDS["regression"])
    assert scoring.names == ["worst", "rmse", "mae", "r2"]
    assert scoring.better("worst") == "lower"
    assert list(scoring.score(X[:, :1], X[:, :1]).metrics.values()) == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("measure", "exact", "now", "lost"),
    [
        (Measure(sum), 0.9, 0.85, 0.05),
        (Measure(sum, "lower", "target"), 1.0, 1.2, 0.1),  # of a spread of 2
        (Measure(sum, "lower", "target squared"), 1.0, 1.44, 0.1),
        (Measure(sum, "lower", ""), 0.5, 0.6, 0.2),
        (Measure(sum, "lower", "target"), 1.0, 0.9, -0.05),
    ],
)
def test_a_lower_value_is_worse_only_if_higher_is_better(measure, exact, now, lost):
    assert measure.lost(exact, now, spread=2.0) == pytest.approx(lost)


def test_nothing_to_measure_is_unknown_and_never_zero():
    one_class = scores("binary", [[1.0], [-1.0]], [[1], [1]])
    assert one_class.metrics["roc_auc"] is None
    assert scores("regression", [[1.0]], [[1.0]]).metrics["r2"] is None
    assert math.isnan(KINDS["segmentation"].measures["iou"](np.zeros(4)))


def ignoring(number, **more):
    return lambda o, t: functional.cross_entropy(o, t, ignore_index=number, **more)


def void(number):
    """Class numbers of an image, every third place of which has this number."""
    y = np.arange(ROWS * 4).reshape(ROWS, 4) % 3
    y[:, ::3] = number
    return y


@pytest.mark.parametrize(
    ("y", "loss", "kind"),
    [
        (void(255), ignoring(255), "segmentation(255)"),
        (void(-100), "cross_entropy", "segmentation(-100)"),
        (void(7), ignoring(7, label_smoothing=0.1), "segmentation(7)"),
        (void(1), ignoring(0), "segmentation(0)"),  # a class that is not learnt is not counted
        (void(1), ignoring(255), "segmentation(255)"),  # the server's rows happen to have none
        (void(1), "cross_entropy", "segmentation"),
    ],
)
def test_places_that_the_loss_ignores_are_found_out(y, loss, kind):
    assert found(torch.zeros(ROWS, 3, 4), y, loss).name == kind
    assert found(torch.zeros(ROWS, 3, 4), y, loss, kind="segmentation").name == kind
    assert kind_named(kind).name == kind


@pytest.mark.parametrize(
    ("loss", "kind"),
    [
        (torch.nn.CrossEntropyLoss(ignore_index=200), "segmentation(200)"),
        (torch.nn.CrossEntropyLoss(ignore_index=200).forward, "segmentation(200)"),
        (partial(functional.cross_entropy, ignore_index=200), "segmentation(200)"),
        (torch.nn.CrossEntropyLoss(), "segmentation"),  # nobody said that -100 is among the targets
        (partial(functional.cross_entropy, reduction="sum"), "segmentation"),
    ],
)
def test_what_a_loss_says_that_it_ignores_need_not_be_among_the_servers_rows(loss, kind):
    assert found(torch.zeros(ROWS, 3, 4), void(1), loss).name == kind


@given(st.integers(0, 2**32 - 1))
def test_saying_an_ignored_class_costs_only_the_class_it_was_said_for(seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(1, 3, (9, 5))
    outputs = np.eye(3)[y].transpose(0, 2, 1)
    assert scores("segmentation(0)", outputs, y).metrics["iou"] == 1
    outputs[0, :, 0] = (1, 0, 0)  # the background, which no target is
    wrong, kept = y == y[0, 0], (y != y[0, 0]).any()
    of_class = 1 - 1 / wrong.sum()
    found = scores("segmentation(0)", outputs, y).metrics["iou"]
    assert found == pytest.approx((of_class + 1) / 2 if kept else of_class)


def test_a_number_that_nothing_ignores_is_named_with_what_to_say():
    with pytest.raises(TaskError, match=r"from 0 to 255.*kind=\"segmentation\(255\)\""):
        found(torch.zeros(ROWS, 3, 4), void(255))
    assert found(torch.zeros(ROWS, 3, 4), void(255), kind="segmentation(255)").measures


@given(st.integers(0, 2**32 - 1), st.sampled_from([255, -100, 2]))
@settings(max_examples=30, deadline=None)
def test_what_is_ignored_counts_for_nothing(seed, number):
    rng = np.random.default_rng(seed)
    kind, outputs = kind_named(f"segmentation({number})"), rng.normal(size=(9, 3, 5, 2))
    y = rng.integers(0, 2, (9, 5, 2))
    left_out = rng.random(y.shape) < 0.4
    y[left_out] = number
    scored = scores(kind.name, outputs, y).metrics
    assert scored["iou"] == pytest.approx(
        sk.jaccard_score(
            y[~left_out],
            outputs.argmax(1)[~left_out],
            average="macro",
            labels=[one for one in range(3) if one != number],  # it is no class, if it could be one
        )
    )
    assert scored["pixel_accuracy"] == pytest.approx(
        sk.accuracy_score(y[~left_out], outputs.argmax(1)[~left_out])
    )
    # As much is counted of every row, so that nobody can add more than rows.
    assert {kind.size(kind.tally(outputs[i : i + 1], y[i : i + 1])) for i in range(9)} == {10}
    parts = kind.tally(outputs[:4], y[:4]) + kind.tally(outputs[4:], y[4:])
    assert scoring_of(task(), kind).of_tally(parts, 9).metrics == pytest.approx(scored)
