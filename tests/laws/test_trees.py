"""Laws of bins, forests and tree frames, whatever the trees."""

import zlib

import numpy as np
import pytest
from grown import forest as grown_forest
from grown import tree as grown_tree
from grown import walked
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mutations import damaged

from frugalfl.errors import FrameError, UsageError
from frugalfl.trees import (
    Bins,
    Forest,
    Sketch,
    Tree,
    agree,
    decode_forest,
    encode_forest,
    sketch,
    to_lightgbm_text,
    total,
)

anyhow = settings(deadline=None, max_examples=60)
seeds = st.integers(0, 2**32 - 1)
forests = st.builds(
    lambda seed, trees, leaves, features, bins: grown_forest(
        np.random.default_rng(seed), trees, leaves, features, bins
    ),
    seeds,
    st.integers(0, 6),
    st.sampled_from([1, 2, 5, 31, 70, 256]),
    st.sampled_from([1, 5]),
    st.sampled_from([1, 20, 254]),
)
finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
matrices = hnp.arrays(
    np.float32, st.tuples(st.integers(0, 60), st.integers(1, 3)), elements=finite
) | hnp.arrays(
    np.float32,
    st.tuples(st.integers(0, 200), st.just(2)),
    elements=st.sampled_from([0, -0.0, 1, 2.5]),
)


def rows(rng, count=70, features=5):
    return rng.integers(0, 255, (count, features)).astype(np.uint8)


@anyhow
@given(forests, seeds)
def test_a_score_is_what_walking_down_every_tree_gives(forest, seed):
    binned = rows(np.random.default_rng(seed))
    expected = [walked(forest, row) for row in binned]
    np.testing.assert_allclose(forest.raw_scores(binned), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(
        forest.raw_scores(binned)[13:], forest.raw_scores(np.asfortranarray(binned[13:]))
    )


def test_rows_beyond_one_block_are_scored_alike():
    rng = np.random.default_rng(3)
    forest, binned = grown_forest(rng, 3), rows(rng, 66_000)
    scores = forest.raw_scores(binned)
    some = np.array([0, 63, 64, 65_535, 65_536, 65_999])
    np.testing.assert_allclose(scores[some], [walked(forest, binned[i]) for i in some])


@anyhow
@given(forests, forests, st.floats(-3, 3), seeds)
def test_scores_are_linear(one, other, weight, seed):
    binned = rows(np.random.default_rng(seed))
    a, b = one.raw_scores(binned), other.raw_scores(binned)
    near = {"rtol": 1e-6, "atol": 1e-5}
    np.testing.assert_allclose((one + other).raw_scores(binned), a + b, **near)
    np.testing.assert_allclose(one.scaled(weight).raw_scores(binned), weight * a, **near)
    both = total([one, other], [weight, 0.5])
    np.testing.assert_allclose(both.raw_scores(binned), weight * a + b / 2, **near)


@anyhow
@given(forests, seeds)
def test_the_canonical_forest_scores_alike_and_says_nothing_of_growth(forest, seed):
    binned = rows(np.random.default_rng(seed))
    canonical = forest.canonical()
    canonical.check()
    np.testing.assert_array_equal(canonical.raw_scores(binned), forest.raw_scores(binned))
    for tree in canonical.trees:
        # Each left child follows its parent at once, each leaf the one to its left.
        ends = [int(end) for pair in zip(tree.left, tree.right, strict=True) for end in pair]
        assert (
            sorted(-end for end in ends if end < 0)
            == list(range(1, len(tree.left) + 2))[: sum(end < 0 for end in ends)]
        )
        assert all(end in (split + 1,) or end < 0 for split, end in enumerate(tree.left.tolist()))


@anyhow
@given(forests)
def test_a_frame_keeps_splits_and_rounds_leaves(forest):
    data = encode_forest(forest)
    back = decode_forest(data, 5)
    assert back.base == forest.base and len(back) == len(forest)
    for tree, wanted in zip(back.trees, forest.canonical().trees, strict=True):
        for name in ("feature", "bin", "left", "right"):
            np.testing.assert_array_equal(getattr(tree, name), getattr(wanted, name))
            assert getattr(tree, name).dtype == getattr(wanted, name).dtype
        most = np.abs(wanted.value).max()
        np.testing.assert_allclose(tree.value, wanted.value, atol=1.0001 * most / 254, rtol=0)
    assert encode_forest(back) == data


@anyhow
@given(forests, seeds)
def test_damaged_frames_are_refused_as_such(forest, seed):
    """With a right checksum too; a frame that still reads is a forest within the bounds."""
    rng = np.random.default_rng(seed)
    data = encode_forest(forest)
    with pytest.raises(FrameError):
        decode_forest(damaged(data, rng), 5)
    for _ in range(5):
        body = damaged(data[:-4], rng)
        body += zlib.crc32(body).to_bytes(4, "little")
        try:
            read = decode_forest(body, 5, most_trees=50)
        except FrameError:
            continue
        read.check(5)
        assert len(read) <= 50


def test_frames_beyond_the_bounds_are_refused():
    rng = np.random.default_rng(1)
    data = encode_forest(grown_forest(rng, 6, features=5))
    with pytest.raises(FrameError, match="features"):
        decode_forest(data, 3)
    with pytest.raises(FrameError, match="above its bound"):
        decode_forest(data, 5, most_trees=5)
    with pytest.raises(FrameError, match="magic"):
        decode_forest(b"x" * 40, 5)
    with pytest.raises(FrameError):
        decode_forest(b"", 5)


@pytest.mark.parametrize("what", ["loop", "shared", "feature", "bin", "nan", "short", "huge"])
def test_what_is_no_tree_is_refused(what):
    tree = grown_tree(np.random.default_rng(0), 6)
    if what == "loop":
        tree.left[2] = 1
    elif what == "shared":
        tree.right[:] = tree.right[0]
    elif what == "feature":
        tree.feature[0] = 5
    elif what == "bin":
        tree.bin[0] = 254
    elif what == "nan":
        tree.value[1] = np.nan
    elif what == "huge":
        tree.value[1] = 1e4
    else:
        tree = Tree(tree.feature[1:], tree.bin, tree.left, tree.right, tree.value)
    with pytest.raises(UsageError):
        Forest(0.0, (tree,)).check(5)


@anyhow
@given(matrices, st.integers(2, 100), st.integers(2, 255))
def test_bins_keep_the_order_and_survive_the_wire(x, points, max_bins):
    found = sketch(x, points)
    again = Sketch.from_bytes(found.to_bytes())
    assert again.rows == len(x)
    bins = agree([again, found], max_bins)
    assert max(bins.counts) <= max_bins
    read = Bins.from_bytes(bins.to_bytes())
    binned = read.of(x)
    np.testing.assert_array_equal(binned, bins.of(x))
    for f, edges in enumerate(read.edges):
        assert edges.dtype == np.float32 and (np.diff(edges) > 0).all()
        for i in range(len(edges)):
            np.testing.assert_array_equal(x[:, f] <= edges[i], binned[:, f] <= i)


@anyhow
@given(matrices, seeds)
def test_damaged_bins_and_sketches_are_refused(x, seed):
    rng = np.random.default_rng(seed)
    found = sketch(x)
    for data, read in (
        (found.to_bytes(), Sketch.from_bytes),
        (agree([found]).to_bytes(), Bins.from_bytes),
    ):
        with pytest.raises(FrameError):
            read(damaged(data, rng))
        body = damaged(data[:-4], rng)
        try:
            read(body + zlib.crc32(body).to_bytes(4, "little"))
        except FrameError:
            continue


def test_few_values_are_kept_apart_and_rare_ones_are_not_named():
    rng = np.random.default_rng(0)
    flags = (rng.random((4000, 1)) < 0.01).astype(np.float32)
    bins = agree([sketch(flags[:2000]), sketch(flags[2000:])], 64)
    np.testing.assert_array_equal(bins.edges[0], [0.5])
    amounts = rng.exponential(size=(4000, 1)).astype(np.float32)
    amounts[7] = 12345.0
    found = sketch(amounts, 64)
    assert found.values[0].max() < 100 and found.values[0].min() > amounts.min()
    counts = np.bincount(agree([found], 64).of(amounts)[:, 0], minlength=64)
    assert len(counts) == 64 and counts.min() > 30 and counts.max() < 130


def test_branches_of_any_order_and_size_agree_on_the_same_bins():
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(n, 2), loc=n / 900).astype(np.float32) for n in (900, 40, 300)]
    sketches = [sketch(part) for part in parts]
    one, other = agree(sketches).to_bytes(), agree(sketches[::-1]).to_bytes()
    assert one == other
    # A branch counts by its rows.
    pooled = np.quantile(np.concatenate(parts)[:, 0], 0.5)
    middle = agree(sketches, 2).edges[0][0]
    assert abs(middle - pooled) < 0.1


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_no_number_is_named(wrong):
    x = np.zeros((5, 2), np.float32)
    x[3, 1] = wrong
    with pytest.raises(UsageError, match="feature 1 of row 3"):
        sketch(x)


def test_names_that_lightgbm_cannot_take_are_refused():
    bins = Bins((np.zeros(1, np.float32),) * 2)
    for names in (["a"], ["a", "a"], ["a", "b c"], ["a", "b:c"]):
        with pytest.raises(UsageError):
            to_lightgbm_text(Forest(), bins, names)
