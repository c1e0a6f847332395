"""Laws of leaves that are fitted to everybody's rows, and of the parcels that trees travel in."""

import tracemalloc

import numpy as np
import pytest
from grown import forest as grown_forest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import damaged

from frugalfl.codec.buffer import varint
from frugalfl.errors import FrameError
from frugalfl.trees import Growth
from frugalfl.trees.leaves import LEAF_BITS, LeafSums, leaf_sums, refitted, shapes
from frugalfl.trees.parcel import Parcel

anyhow = settings(deadline=None, max_examples=50)
seeds = st.integers(0, 2**32 - 1)
forests = st.builds(
    lambda seed, trees: grown_forest(np.random.default_rng(seed), trees, 9),
    seeds,
    st.integers(0, 4),
)


def leaf_of(tree, binned):
    """The definition, row by row."""
    found = []
    for row in binned:
        node = 0 if tree.leaves > 1 else ~0
        while node >= 0:
            right = row[tree.feature[node]] > tree.bin[node]
            node = int(tree.right[node] if right else tree.left[node])
        found.append(~node)
    return np.array(found, np.intp)


def rows_of(seed, count):
    """Return binned rows, targets and raw scores."""
    rng = np.random.default_rng(seed)
    y = (rng.random(count) < 0.3).astype(np.int64)
    return rng.integers(0, 22, (count, 5)).astype(np.uint8), y, rng.normal(size=count)


def leaves_of(forest):
    return sum(tree.leaves for tree in forest.trees)


@anyhow
@given(forests, seeds)
def test_rows_are_in_the_leaf_that_scores_them(forest, seed):
    binned, *_ = rows_of(seed, 40)
    scores = np.full(40, forest.base)
    for tree in forest.trees:
        scores += tree.value[leaf_of(tree, binned)]
    np.testing.assert_allclose(forest.raw_scores(binned), scores, rtol=1e-6, atol=1e-6)


@anyhow
@given(forests, st.lists(st.integers(0, 40), min_size=1, max_size=5), seeds)
def test_sums_of_parts_are_those_of_the_pooled_rows_up_to_rounding(forest, counts, seed):
    parts = [rows_of((seed, number), count) for number, count in enumerate(counts)]
    total, *rest = [leaf_sums(forest.trees, *part) for part in parts]
    for one in rest:
        total += one
    pooled = leaf_sums(forest.trees, *map(np.concatenate, zip(*parts, strict=True)))
    for ours, theirs in ((total.gradients, pooled.gradients), (total.hessians, pooled.hessians)):
        # Each part rounds once, by half a unit at most, and the pooled rows do so once.
        assert np.abs(ours - theirs).max(initial=0) <= (len(parts) + 1) / 2


@anyhow
@given(forests, seeds, st.floats(0, 5), st.floats(0.1, 1.5))
def test_a_fitted_leaf_is_the_newton_step_of_its_rows_over_the_number_of_trees(
    forest, seed, l2, step
):
    binned, y, scores = rows_of(seed, 60)
    growth = Growth(l2=l2, max_step=4.0)
    new = refitted(forest.trees, leaf_sums(forest.trees, binned, y, scores), growth, step)
    assert new.base == 0 and len(new) == len(forest)
    chance = 1 / (1 + np.exp(-scores))
    rounding = 2.0**-LEAF_BITS
    for old, tree in zip(forest.trees, new.trees, strict=True):
        for name in ("feature", "bin", "left", "right"):
            np.testing.assert_array_equal(getattr(tree, name), getattr(old, name))
        leaf = leaf_of(tree, binned)
        for number in range(tree.leaves):
            here = leaf == number
            gradient = float((chance - y)[here].sum())
            hessian = float((chance * (1 - chance))[here].sum())
            if not here.any():
                assert tree.value[number] == 0
            if hessian + l2 < 0.1:
                continue  # all of it is rounding
            exact = np.clip(-gradient / (hessian + l2), -4, 4)
            off = rounding * (1 + 4) / (hessian + l2)
            assert abs(tree.value[number] * len(forest) / step - exact) < off + 1e-5


@anyhow
@given(forests)
def test_shapes_have_no_values(forest):
    bare = shapes(forest)
    assert bare.base == 0
    assert all((tree.value == 0).all() for tree in bare.trees)
    assert [tree.leaves for tree in bare.trees] == [tree.leaves for tree in forest.trees]


@anyhow
@given(forests, seeds)
def test_sums_arrive_as_they_were_sent(forest, seed):
    sent = leaf_sums(forest.trees, *rows_of(seed, 50))
    got = LeafSums.from_bytes(sent.to_bytes(), leaves_of(forest), 50)
    np.testing.assert_array_equal(got.gradients, sent.gradients)
    np.testing.assert_array_equal(got.hessians, sent.hessians)


def some():
    return LeafSums(np.array([5, -7, 0], np.int64), np.array([9, 2, 64], np.int64))


@pytest.mark.parametrize(
    ("sums", "leaves", "rows", "what"),
    [
        (some(), 4, 100, "not the"),
        (some(), 2, 100, "not the"),
        (LeafSums(np.array([65]), np.array([1])), 1, 1, "not those of as many rows"),
        (LeafSums(np.array([1]), np.array([65])), 1, 1, "not those of as many rows"),
        (LeafSums(np.array([1]), np.array([-1])), 1, 1, "not those of as many rows"),
        (LeafSums(np.array([1 << 60]), np.array([1])), 1, 1, "8 B"),
    ],
)
def test_sums_that_no_rows_have_are_refused(sums, leaves, rows, what):
    with pytest.raises(FrameError, match=what):
        LeafSums.from_bytes(sums.to_bytes(), leaves, rows)


@settings(deadline=None, max_examples=150)
@given(seeds)
def test_damaged_sums_are_a_frame_error(seed):
    data = some().to_bytes()
    with pytest.raises(FrameError):
        LeafSums.from_bytes(damaged(data, np.random.default_rng(seed)), 3, 100)


segments = st.lists(st.binary(max_size=200), max_size=5)


@anyhow
@given(st.binary(max_size=200), segments, st.binary(max_size=50))
def test_parcels_arrive_as_they_were_sent(bins, parts, question):
    sent = Parcel(bins, parts, question)
    assert Parcel.unpack(sent.pack()) == sent


@settings(deadline=None, max_examples=150)
@given(segments, seeds)
def test_a_damaged_parcel_is_a_frame_error_or_another_parcel(parts, seed):
    data = Parcel(b"bins", parts, b"question").pack()
    try:
        Parcel.unpack(damaged(data, np.random.default_rng(seed)))
    except FrameError as error:
        assert "\n" not in str(error)


def test_a_parcel_that_declares_itself_huge_takes_no_memory():
    for data in (
        varint(1 << 26),
        varint(1 << 60),
        varint(0) + varint(100_000),
        varint(0) + varint(1 << 40),
        varint(0) + varint(1) + varint(1 << 26),
    ):
        tracemalloc.start()
        try:
            with pytest.raises(FrameError):
                Parcel.unpack(data)
            assert tracemalloc.get_traced_memory()[1] < 100_000
        finally:
            tracemalloc.stop()
