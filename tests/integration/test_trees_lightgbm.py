"""LightGBM's trees and ours are the same trees."""

import numpy as np
import pytest
from grown import forest as grown_forest

from frugalfl.errors import UsageError
from frugalfl.trees import Bins, Forest, Growth, Sketch, agree, sketch, to_lightgbm_text

lightgbm = pytest.importorskip("lightgbm")

from frugalfl_client.trees import train  # noqa: E402


@pytest.fixture(scope="module")
def rows():
    """Binned rows of which 3 in 100 are positive, by a rule with noise."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6000, 5)).astype(np.float32)
    x[:, 4] = x[:, 4] > 1
    y = (x[:, 0] + x[:, 1] * x[:, 2] + x[:, 4] + rng.normal(size=6000) > 3.8).astype(np.int64)
    bins = agree([Sketch.from_bytes(sketch(part).to_bytes()) for part in np.array_split(x, 3)])
    return x, y, bins, bins.of(x)


def test_new_trees_are_those_that_lightgbm_adds(rows):
    _, y, _, binned = rows
    params = Growth(leaves=15)
    scores = np.full(len(y), -3.0)
    model = Forest(-3.0)
    for _ in range(2):
        new = train(binned, y, scores, params, 4, seed=1)
        new.check(5)
        model += new
        scores = model.raw_scores(binned)
    options = {
        "objective": "binary", "boost_from_average": False, "num_leaves": 15, "lambda_l2": 1.0,
        "max_delta_step": 10.0, "max_bin": 255, "min_data_in_bin": 1, "verbosity": -1,
        "num_threads": 1, "learning_rate": 0.1, "use_missing": False,
    }  # fmt: skip
    whole = lightgbm.train(
        options, lightgbm.Dataset(binned, y, init_score=np.full(len(y), -3.0)), 8
    )
    expected = -3.0 + whole.predict(binned, raw_score=True, num_threads=1)
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)


def test_lightgbm_loads_what_we_write(rows):
    x, y, bins, binned = rows
    names = ["amount", "count", "risk", "mean", "night"]
    forest = Forest(-3.0, train(binned, y, np.full(len(y), -3.0), Growth(), 5, seed=1).trees)
    rng = np.random.default_rng(1)
    for each in (forest, grown_forest(rng, 4, bins=254), Forest(0.25)):
        booster = lightgbm.Booster(model_str=to_lightgbm_text(each, bins, names))
        assert booster.feature_name() == names
        loaded = booster.predict(x.astype(np.float64), raw_score=True, num_threads=1)
        np.testing.assert_allclose(loaded, each.raw_scores(binned), rtol=1e-12, atol=1e-12)


def test_all_255_bins_are_told_apart():
    binned = np.tile(np.arange(255, dtype=np.uint8), 40)[:, None]
    y = (np.arange(len(binned)) // 255 < 20 * (binned[:, 0] % 2) + 10).astype(np.int64)
    params = Growth(leaves=256, min_rows_in_leaf=1, learning_rate=1.0, l2=0.0)
    scores = train(binned, y, np.zeros(len(y)), params, 20, seed=0).raw_scores(binned)
    odd = binned[:, 0] % 2 == 1
    assert scores[odd].min() > 0.9 and scores[~odd].max() < -0.9


@pytest.mark.parametrize("label", [0, 1])
def test_rows_of_one_class_or_hardly_any_give_no_trees(rows, label):
    _, y, _, binned = rows
    none = np.zeros(len(y))
    assert len(train(binned, y * 0 + label, none, Growth(), 3, seed=0)) == 0
    assert len(train(binned[:30], y[:30], none[:30], Growth(), 3, seed=0)) == 0
    assert len(train(binned[:0], y[:0], none[:0], Growth(), 3, seed=0)) == 0


def test_a_leaf_of_frauds_alone_does_not_explode(rows):
    _, y, _, binned = rows
    params = Growth(l2=0.0, max_step=5.0)
    forest = train(binned, y, np.full(len(y), -9.0), params, 3, seed=0)
    assert max(np.abs(tree.value).max() for tree in forest.trees) <= 0.5 + 1e-6


def test_wrong_rows_are_named(rows):
    x, y, _, binned = rows
    scores = np.zeros(len(y))
    for wrong in ((x, y, scores), (binned, y + 1, scores), (binned, y[1:], scores)):
        with pytest.raises(UsageError):
            train(*wrong, Growth(), 1, seed=0)


def test_bins_of_other_features_are_refused(rows):
    _, _, bins, _ = rows
    with pytest.raises(UsageError, match="5 features"):
        bins.of(np.zeros((3, 4), np.float32))
    assert Bins.from_bytes(bins.to_bytes()).counts == bins.counts
