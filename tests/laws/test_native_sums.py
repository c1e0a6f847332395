"""What the core adds up is the same, to the bit, as what Python does."""

import numpy as np
import pytest
from both_ways import bits, both, in_python, needs_core
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from frugalfl.blocks import Layout
from frugalfl.codec import encode_frame, parse_codec
from frugalfl.native.sums import add_dense, add_sparse, turn_into_mean
from frugalfl_server.rounds.aggregate import Accumulator, Contribution

pytestmark = needs_core

FLOATS = st.floats(width=32, allow_nan=False)
WEIGHTS = st.floats(2.0**-30, 2.0**31)
CODECS = (
    "feedback | topk(10%) | sign | golomb", "stochastic(8 sigma) | golomb", "sign | range", "raw",
    "float16 | zstd", "lowrank(2) | float16 | zstd", "nearest(1 sigma) | range",
)  # fmt: skip


@given(hnp.arrays(np.float32, st.integers(1, 200), elements=FLOATS), WEIGHTS, st.data())
def test_sparse_values_are_added_alike(total, weight, data):
    chosen = data.draw(st.sets(st.integers(0, total.size - 1)))
    places = np.array(sorted(chosen), np.int64)
    values = data.draw(hnp.arrays(np.float32, places.size, elements=FLOATS))
    shift = data.draw(st.integers(0, 5))
    total = np.concatenate([total, np.zeros(5, np.float32)])

    def work():
        sums, weighted = total.copy(), values.copy()
        add_sparse(sums, places, weighted, weight, shift)
        return bits(sums), bits(weighted)

    one, other = both(work)
    assert one == other


@given(hnp.arrays(np.float32, hnp.array_shapes(min_side=0), elements=FLOATS), WEIGHTS, st.data())
def test_dense_values_and_means_are_the_same(total, weight, data):
    values = data.draw(hnp.arrays(np.float32, total.shape, elements=FLOATS))

    def work():
        sums, weighted = total.copy(), values.copy()
        add_dense(sums, weighted, weight)
        turn_into_mean(sums, values, weight)
        return bits(sums), bits(weighted)

    one, other = both(work)
    assert one == other


@pytest.mark.parametrize("place", [-1, 10, 2**40])
def test_a_place_outside_changes_nothing(place):
    total = np.zeros(10, np.float32)
    with pytest.raises(IndexError):
        add_sparse(total, np.array([0, place]), np.ones(2, np.float32), 1.0)
    assert not total.any()


def test_a_transposed_tensor_is_added_where_it_belongs():
    total, values = np.zeros((3, 5), np.float32), np.arange(15, dtype=np.float32).reshape(5, 3).T
    add_dense(total, values, 2.0)
    assert (total == values).all()
    turn_into_mean(total, values, 1.0)
    assert (total == 2 * values).all()


def model_of(seed):
    rng = np.random.default_rng(seed)
    shapes = {"a.weight": (16, 9), "a.bias": (16,), "b.weight": (4, 16), "b.bias": (4,)}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("names", [("a", "b"), ("b",)])
def test_a_round_gives_the_same_model_and_magnitudes(codec, names):
    """Updates of all blocks and of some, by every way that they can take."""
    model, chain = model_of(0), parse_codec(codec)
    layout = Layout.of(model)
    frames = []
    for seed in range(1, 6):
        update = {n: t for n, t in model_of(seed).items() if n[0] in names or seed == 1}
        frames.append(encode_frame(chain, layout, update, base=0, version=0, seed=seed)[0])

    def work():
        total, magnitudes = Accumulator(layout), []
        for number, frame in enumerate(frames):
            added = total.add(frame, 7 + number, share=0.3)
            assert isinstance(added, Contribution)
            magnitudes.append(added.magnitudes())
        return [bits(tensor) for tensor in total.finish(model).values()], magnitudes

    one, other = both(work)
    assert one == other


@pytest.mark.parametrize("codec", CODECS)
def test_frames_are_the_same_bytes_and_decode_to_the_same_bits(codec):
    model, chain = model_of(3), parse_codec(codec)
    layout = Layout.of(model)

    def encoded():
        frame, residual = encode_frame(chain, layout, model, base=4, version=4, seed=77)
        return frame, {name: bits(left) for name, left in residual.items()}

    by_core = encoded()
    with in_python():
        assert encoded() == by_core
