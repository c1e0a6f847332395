"""Laws of ``large``, ``statistics`` and ``auto``: what goes which way, and that it pays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from frugalfl.blocks import Layout
from frugalfl.codec import Limits, Sparse, decode_frame, encode_frame, parse_codec, read_frame
from frugalfl.codec.statistics import FOLLOWING
from frugalfl.errors import FrameError, UsageError

values = st.floats(-1000, 1000, width=32)
updates = st.lists(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6),
        elements=values,
    ),
    min_size=1,
    max_size=6,
).map(lambda arrays: {f"t{i}": array for i, array in enumerate(arrays)})


def decoded(text, update, seed=5):
    codec = parse_codec(text)
    payload, _ = codec.encode(update, seed=seed)
    shapes = [tensor.shape for tensor in update.values()]
    return dict(zip(update, codec.decode(memoryview(payload), shapes, seed), strict=True)), payload


def error(update, got):
    lost = sum(float(((update[n] - got[n]).astype(np.float64) ** 2).sum()) for n in update)
    return lost / max(
        sum(float((t.astype(np.float64) ** 2).sum()) for t in update.values()), 1e-300
    )


@pytest.mark.parametrize(
    "chains",
    [
        ("stochastic(4 sigma) | range", "float16 | zstd", "raw"),
        ("topk(20%) | sign | golomb", "nearest(1 sigma) | range", "zstd"),
        ("eden(3) | zstd", "raw", "lowrank(1) | float16 | zstd"),
        ("auto(nmse 0.2)", "nearest(1 sigma) | range", "raw"),
    ],
)
@given(update=updates)
@settings(deadline=None, max_examples=30)
def test_each_tensor_gets_what_its_own_chain_alone_would_give(chains, update):
    large, middle, small = chains
    got, _ = decoded(f"large(30, {large}, large(6, {middle}, {small}))", update)
    parts = {
        large: {n: t for n, t in update.items() if t.size >= 30},
        middle: {n: t for n, t in update.items() if 6 <= t.size < 30},
        small: {n: t for n, t in update.items() if t.size < 6},
    }
    for chain, part in parts.items():
        if part:
            for name, tensor in decoded(chain, part)[0].items():
                np.testing.assert_array_equal(got[name], tensor)


@given(update=updates, size=st.integers(1, 40))
@settings(deadline=None, max_examples=40)
def test_a_mask_costs_a_few_bytes_at_most(update, size):
    """With one chain for all, the split itself is what is paid: a length, and a chain's own start."""
    assert len(decoded(f"large({size}, raw, raw)", update)[1]) <= len(decoded("raw", update)[1]) + 2


def test_small_tensors_are_exact_and_large_ones_unbiased():
    rng = np.random.default_rng(0)
    update = {
        "a.weight": rng.normal(size=(20, 9)).astype(np.float32),
        "a.bias": rng.normal(size=20).astype(np.float32),
        "b.weight": rng.normal(size=(8, 20)).astype(np.float32),
    }
    draws = [
        decoded("large(100, stochastic(3 sigma) | range, raw)", update, s)[0] for s in range(400)
    ]
    for draw in draws:
        np.testing.assert_array_equal(draw["a.bias"], update["a.bias"])
    for name in ("a.weight", "b.weight"):
        found = np.array([draw[name] for draw in draws])
        off = np.abs(found.mean(axis=0) - update[name]).max()
        assert off <= 5 * found.std(axis=0).max() / np.sqrt(len(draws))


def test_the_two_chains_round_independently():
    """The same values in a large and a small tensor must not get the same rounding errors."""
    tensor = np.random.default_rng(1).normal(size=(30, 10)).astype(np.float32)
    update = {"a": tensor, "b": tensor[:29].copy()}
    got, _ = decoded("large(300, stochastic(4 sigma) | range, stochastic(4 sigma) | range)", update)
    errors = [got["a"][:29] - tensor[:29], got["b"] - tensor[:29]]
    assert abs(np.corrcoef(errors[0].ravel(), errors[1].ravel())[0, 1]) < 0.3


def test_bytes_for_a_chain_without_tensors_are_refused():
    codec = parse_codec("large(100, raw, raw)")
    with pytest.raises(FrameError, match="no tensors"):
        codec.decode(memoryview(bytes([4]) + bytes(8)), [(2,)])


#: A model's tensors, statistics anywhere among them.
normed = st.lists(st.tuples(st.sampled_from(["weight", "running_mean"]), updates), min_size=1).map(
    lambda parts: {
        f"l{i}{n}.{kind}": tensor
        for i, (kind, update) in enumerate(parts)
        for n, tensor in enumerate(update.values())
    }
)


def framed(text, update, seed=5):
    layout = Layout.of(update)
    return encode_frame(parse_codec(text), layout, update, base=1, version=1, seed=seed)[0]


def sent(text, update, seed=5):
    layout = Layout.of(update)
    return decode_frame(framed(text, update, seed), Limits.of(layout)).named(layout)


@pytest.mark.parametrize(
    ("text", "weights", "statistics"),
    [
        ("statistics(stochastic(4 sigma) | range, zstd)", "stochastic(4 sigma) | range", "zstd"),
        ("statistics(raw, nearest(1 sigma) | range)", "raw", "nearest(1 sigma) | range"),
        ("stochastic(auto) | range", "stochastic(auto) | range", FOLLOWING),
        ("dyadic(1.5%) | range", "dyadic(1.5%) | range", FOLLOWING),
        ("feedback | topk(10%) | sign | golomb", "topk(10%) | sign | golomb", FOLLOWING),
        ("lowrank(1) | float16 | zstd", "lowrank(1) | float16 | zstd", FOLLOWING),
    ],
)
@given(update=normed)
@settings(deadline=None, max_examples=30)
def test_statistics_and_weights_do_not_see_each_other(text, weights, statistics, update):
    got = sent(text, update)
    parts = {
        weights: {n: t for n, t in update.items() if "running" not in n},
        statistics: {n: t for n, t in update.items() if "running" in n},
    }
    for chain, part in parts.items():
        for name, tensor in decoded(chain, part)[0].items() if part else ():
            np.testing.assert_array_equal(got[name], tensor)


@given(update=normed, seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=30)
def test_statistics_add_up_as_they_decode(update, seed):
    """The server adds nonzero entries alone; they must lie where the whole tensors have them."""
    for text in ("stochastic(4 sigma) | range", "lowrank(1) | float16 | zstd"):
        coded = read_frame(framed(text, update, seed), Limits.of(Layout.of(update)))
        whole = [t for block in coded.decode().blocks.values() for t in block]
        compact = coded.decode_compact()
        flat = np.concatenate([t.ravel() for t in whole])
        if isinstance(compact, Sparse):
            assert (np.diff(compact.places) > 0).all()
            dense = np.zeros_like(flat)
            dense[compact.places] = compact.values
        else:
            parts = [p if isinstance(p, np.ndarray) else p.dense() for p in compact]
            dense = np.concatenate([part.ravel() for part in parts])
        np.testing.assert_allclose(dense, flat, rtol=1e-5, atol=1e-5)


@given(update=updates)
@settings(deadline=None, max_examples=30)
def test_without_statistics_a_codec_for_them_costs_nothing(update):
    both = framed("statistics(stochastic(4 sigma) | range, zstd)", update)
    assert both == framed("stochastic(4 sigma) | range", update)


def test_statistics_are_near_however_far_apart_their_scales_are():
    rng = np.random.default_rng(3)
    update = {
        "a.weight": rng.normal(size=(30, 30)).astype(np.float32) * np.float32(1e-4),
        "a.running_mean": rng.normal(size=200).astype(np.float32) * np.float32(1e-3),
        "a.running_var": rng.normal(size=200).astype(np.float32) * np.float32(1e3),
    }
    got = sent("stochastic(auto) | range", update)
    for name in ("a.running_mean", "a.running_var"):
        assert error({"t": update[name]}, {"t": got[name]}) < 0.02
    assert got["a.weight"].any()


@pytest.mark.parametrize(
    "text", ["topk(1%) | statistics(raw, raw)", "large(9, statistics(raw, raw), raw)"]
)
def test_statistics_stand_alone(text):
    with pytest.raises(UsageError, match="'statistics' is the whole codec"):
        parse_codec(text)


def test_more_statistics_than_tensors_are_refused():
    codec = parse_codec("statistics(raw, raw)")
    with pytest.raises(FrameError, match="above its bound of 1"):
        codec.decode(memoryview(bytes([0, 2]) + bytes(8)), [(2,)])


@pytest.mark.parametrize("nmse", [0.5, 0.1, 0.001])
@given(update=updates, scale=st.sampled_from([1e-20, 1e-3, 1, 1e3, 1e30]))
@settings(deadline=None, max_examples=60)
def test_auto_keeps_its_error(nmse, update, scale):
    scaled = {name: tensor * np.float32(scale) for name, tensor in update.items()}
    largest = max((np.abs(t).max(initial=0) for t in scaled.values()), default=0)
    got, _ = decoded(f"auto(nmse {nmse})", scaled)
    if largest > 1e-30:  # below, float32 steps have no digits left
        assert error(scaled, got) <= nmse * 1.001


def test_auto_factors_what_is_close_to_low_rank_and_leaves_the_rest():
    rng = np.random.default_rng(2)

    def normal(*shape):
        return rng.normal(size=shape).astype(np.float32)

    thin = {"w": normal(120, 2) @ normal(2, 150) + 0.05 * normal(120, 150)}
    noise = {"w": normal(60, 80) * (rng.random((60, 80)) < 0.05).astype(np.float32)}
    few = {"w": np.zeros((100, 100), np.float32)}  # of low rank, but still smaller by its entries
    few["w"][rng.permutation(100)[:20], rng.permutation(100)[:20]] = normal(20) + 3
    entries = "nearest(1 sigma) | range"
    for update, at_most in ((thin, 0.35), (noise, 1.1), (few, 1.1)):
        got, plain = decoded(entries, update)
        mine, payload = decoded(f"auto(nmse {error(update, got):.6f})", update)
        assert error(update, mine) <= error(update, got) * 1.01
        assert len(payload) <= at_most * len(plain)
    # Both at once: each matrix in its own way, at the price of both apart and a little more.
    both = {"thin": thin["w"], "noise": noise["w"]}
    mine, payload = decoded("auto(nmse 0.1)", both)
    apart = [decoded("auto(nmse 0.1)", update)[1] for update in (thin, noise)]
    assert len(payload) <= 1.1 * sum(map(len, apart))


def test_a_rank_that_a_tensor_cannot_have_is_refused():
    codec = parse_codec("auto")
    payload = bytearray(codec.encode({"w": np.ones((8, 8), np.float32)})[0])
    payload[4] = 5  # 5 (8 + 8) factor entries are more than 64
    with pytest.raises(FrameError, match="rank 5 for a tensor of shape"):
        codec.decode(memoryview(payload), [(8, 8)])


@pytest.mark.parametrize(("bits", "nmse"), [(1, 0.571), (2, 0.1331), (3, 0.0358), (4, 0.0096)])
def test_eden_has_the_error_of_its_theory(bits, nmse):
    """D / (1 - D) with D the distortion of the best quantizer for a normal source (Max 1960)."""
    update = {"w": np.random.default_rng(0).standard_t(3, (64, 64)).astype(np.float32)}
    errors = [error(update, decoded(f"eden({bits}) | zstd", update, seed)[0]) for seed in range(20)]
    assert np.mean(errors) == pytest.approx(nmse, rel=0.05)
