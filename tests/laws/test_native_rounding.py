"""The core rounds to the same bits as Python does, and refuses the same values."""

import numpy as np
import pytest
from both_ways import bits, both, in_python, needs_core
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from frugalfl.codec import parse_codec
from frugalfl.codec.dyadic import Dyadic
from frugalfl.codec.entropy import mix
from frugalfl.codec.entropy.rounding import (
    centroids,
    restore,
    round_by_seed,
    round_nearest,
    round_shared,
)
from frugalfl.codec.finite import is_finite
from frugalfl.codec.step_rules import largest_magnitude
from frugalfl.codec.topk import TopK

pytestmark = needs_core

SHAPES = hnp.array_shapes(max_dims=3, min_side=0, max_side=40)
ANY = hnp.arrays(np.float32, SHAPES, elements=st.floats(width=32))
PLAIN = hnp.arrays(np.float32, SHAPES, elements=st.floats(-8, 8, width=32))
STEPS = st.one_of(st.floats(1e-3, 1e3), st.floats(2.0**-126, 1e38))
SEEDS = st.integers(0, 2**32 - 1)


def symbols_of(work):
    """Have symbols as bytes, so that all of them are compared."""
    return lambda: bits(work())


@given(ANY, STEPS, SEEDS, st.integers(0, 2**32))
@example(np.zeros(0, np.float32), 1.0, 0, 0)
@example(np.full(300, 2.0**31, np.float32), 1.0, 0, 0)
@example(np.float32([2147483520.0, -2147483520.0]), 1.0, 0, 0)
@example(np.float32([np.nan]), 1.0, 0, 0)
@example(np.float32([0, -np.inf]), 1.0, 0, 0)
def test_shared_thresholds_decide_alike(values, step, seed, first):
    first = min(first, 2**32 - values.size)
    one, other = both(symbols_of(lambda: round_by_seed(values, step, seed, first)))
    assert one == other


@given(hnp.arrays(np.uint32, st.integers(1, 600)), SEEDS)
def test_a_value_at_its_threshold_falls_on_the_same_side(noise, seed):
    words = mix(seed, noise.size)
    near = ((words.astype(np.float64) + (noise % 3) - 0.5) * 2.0**-32 + noise % 2).astype(
        np.float32
    )
    by_core = round_by_seed(near, 1.0, seed, 0)
    assert bits(by_core) == bits(round_shared(near, 1.0, words))


@given(ANY, STEPS, st.sampled_from([0.5, 0.6, 1.0]))
@example(np.float32([2147483520.0, -2147483520.0]), 1.0, 0.6)
@example(np.float32([2147483648.0]), 1.0, 0.6)
@example(np.float32([np.nan]), 1.0, 0.6)
def test_nearest_is_the_same(values, step, deadzone):
    one, other = both(symbols_of(lambda: round_nearest(values, step, deadzone)))
    assert one == other


@given(st.lists(PLAIN, min_size=1, max_size=4), STEPS)
def test_centroids_are_the_same_to_the_last_bit(tensors, step):
    def work():
        symbols = [round_nearest(tensor, step) for tensor in tensors]
        return bits(np.array(centroids(tensors, symbols, step)))

    one, other = both(work)
    assert one == other


@given(
    hnp.arrays(
        np.int32, SHAPES, elements=st.one_of(st.integers(-4, 4), st.integers(-(2**31), 2**31 - 1))
    ),
    st.floats(0, 1e38),
    st.one_of(st.just([]), st.lists(st.floats(-2, 2), min_size=3, max_size=3)),
)
def test_symbols_are_restored_alike(symbols, step, offsets):
    one, other = both(lambda: bits(restore(symbols, step, offsets)))
    assert one == other


@given(SEEDS, st.integers(0, 300), st.integers(0, 2**32 - 300))
def test_words_of_a_seed_are_the_same(seed, count, first):
    one, other = both(lambda: bits(mix(seed, count, first)))
    assert one == other


@given(ANY)
def test_what_is_not_finite_is_found_alike(values):
    one, other = both(lambda: is_finite(values))
    assert one is other


@given(PLAIN)
def test_the_largest_magnitude_is_the_same(values):
    one, other = both(lambda: largest_magnitude(values))
    assert one == other


#: Few different values, so that some are equally large.
TIED = hnp.arrays(np.float32, st.integers(1, 500), elements=st.sampled_from([0, -0.0, 1, -1, 2, 3]))


@given(st.one_of(PLAIN.filter(lambda x: x.size), TIED), st.sampled_from([0.001, 0.1, 0.5, 1.0]))
def test_topk_keeps_the_same_entries(values, share):
    one, other = both(lambda: bits(TopK(share).forward([values], 0)[0][0]))
    assert one == other


MULTIPLES = st.integers(-(2**23), 2**23).map(lambda n: float(np.float32(n * 2.0**-22)))


@given(st.one_of(ANY, hnp.arrays(np.float32, SHAPES, elements=MULTIPLES)))
@example(np.float32([128.0]))
@example(np.float32([-128.0]))
@example(np.float32([127.99999, 2.0**-24, -0.0]))
@example(np.float32([2.0**-25]))
def test_multiples_of_the_lattice_are_the_same_symbols(values):
    def work():
        symbols, side = Dyadic(None).forward([values, values[:1]], 0)
        return [bits(symbol) for symbol in symbols], side

    one, other = both(work)
    assert one == other


@given(PLAIN, st.sampled_from([0.01, 0.3, 1.0]))
def test_dyadic_takes_the_same_step(values, share):
    one, other = both(lambda: Dyadic(share).forward([values], 0)[1])
    assert one == other


@pytest.mark.parametrize("link", ["stochastic(3 sigma)", "nearest(1.27 sigma)", "topk(7%) | sign"])
def test_memory_in_another_order_is_read_in_the_right_one(link):
    codec = parse_codec(f"{link} | range")
    values = np.random.default_rng(0).normal(size=(64, 48)).astype(np.float32)
    strided = np.repeat(values, 2, axis=1)[:, ::2]
    for array in (np.asfortranarray(values), strided):
        one, other = both(lambda array=array: codec.encode({"w": array}, seed=3))
        assert one == other


def test_float64_is_rounded_by_python():
    values = np.random.default_rng(0).normal(size=1000)
    for work in (lambda: round_nearest(values, 0.1), lambda: round_by_seed(values, 3.0, 7, 0)):
        by_core = work()
        with in_python():
            assert bits(by_core) == bits(work())
