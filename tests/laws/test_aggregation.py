"""Adding updates as they are coded gives what adding them in full gives."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugalfl.blocks import Layout
from frugalfl.calls import parse_call
from frugalfl.codec import (
    Codec,
    Limits,
    Product,
    Sparse,
    decode_frame,
    encode_frame,
    parse_codec,
    read_frame,
)
from frugalfl.codec.chain import Chain
from frugalfl.codec.links import Transform
from frugalfl.codec.raw import Raw
from frugalfl.errors import FrameError
from frugalfl_server.rounds.aggregate import Accumulator

SPARSE = [
    "sign | golomb", "feedback | topk(20%) | sign | golomb", "qsgd(2) | golomb",
    "qsgd(4) | range", "stochastic(8 sigma) | range", "feedback | topk(20%) | sign | range",
]  # fmt: skip
FACTORED = ["lowrank(1) | float16 | zstd", "feedback | lowrank(2) | nearest(1 sigma) | range"]
DENSE = [
    "raw", "zstd", "float16 | zstd", "topk(20%) | float16 | zstd", "eden(1) | zstd",
    "randomk(30%) | float16 | zstd", "randomk(30%) | stochastic(8 sigma) | range",
]  # fmt: skip

SHAPES = {
    "a.weight": (12, 3, 3), "a.bias": (12,), "b.scale": (), "c.weight": (20, 16), "c.empty": (0, 4),
    "d.weight": (5, 20),
}  # fmt: skip
MODEL = {
    name: np.random.default_rng(0).normal(size=shape).astype(np.float32)
    for name, shape in SHAPES.items()
}
LAYOUT = Layout.of(MODEL)
LIMITS = Limits.of(LAYOUT)

clients = st.lists(
    st.tuples(
        st.sampled_from([*SPARSE, *FACTORED, *DENSE]),
        st.sets(st.sampled_from(LAYOUT.everything), min_size=1),
        st.integers(1, 5000),  # rows
        st.integers(0, 2**32 - 1),  # seed of the update
        st.sampled_from([1e-6, 1.0, 100.0]),
    ),
    min_size=1,
    max_size=8,
)


def frame_of(text, blocks, seed, scale):
    rng = np.random.default_rng(seed)
    update = {
        name: (rng.standard_t(3, SHAPES[name]) * scale).astype(np.float32)
        for name in LAYOUT.names(blocks)
    }
    return encode_frame(parse_codec(text), LAYOUT, update, base=0, version=0, seed=seed)[0]


def mean_in_full(frames):
    """The model plus the mean of each tensor over the frames that have it, in float64."""
    sums = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    weights = dict.fromkeys(SHAPES, 0)
    for frame, weight in frames:
        for name, step in decode_frame(frame, LIMITS).named(LAYOUT).items():
            sums[name] += weight * step.astype(np.float64)
            weights[name] += weight
    return {name: MODEL[name] + sums[name] / max(weights[name], 1) for name in SHAPES}


@given(clients)
@settings(deadline=None, max_examples=150)
def test_both_ways_give_the_same_mean_whatever_blocks_each_client_sends(cohort):
    frames = [
        (frame_of(text, blocks, seed, scale), rows) for text, blocks, rows, seed, scale in cohort
    ]
    total = Accumulator(LAYOUT)
    for frame, rows in frames:
        total.add(frame, rows)
    got, wanted = total.finish(MODEL), mean_in_full(frames)
    largest = max(scale for *_, scale in cohort)
    for name in SHAPES:
        np.testing.assert_allclose(got[name], wanted[name], rtol=1e-5, atol=1e-5 * max(largest, 1))


def test_a_block_that_nobody_sends_keeps_its_bits():
    total = Accumulator(LAYOUT)
    total.add(frame_of("sign | golomb", {1}, 1, 1.0), 3)
    model = MODEL | {"a.bias": np.full(12, -0.0, np.float32)}
    got = total.finish(model)
    for name in SHAPES.keys() - {"b.scale"}:
        assert got[name].tobytes() == model[name].tobytes()


@pytest.mark.parametrize(
    ("texts", "kind"),
    [(SPARSE, Sparse), (FACTORED, Product), (DENSE, np.ndarray)],
    ids=["sparse", "factored", "dense"],
)
def test_an_update_is_unpacked_only_as_far_as_said(texts, kind):
    for text in texts:
        compact = read_frame(frame_of(text, LAYOUT.everything, 1, 1.0), LIMITS).decode_compact()
        assert any(isinstance(part, kind) for part in [compact, *_parts(compact)]), text


def _parts(compact):
    return [] if isinstance(compact, Sparse) else compact


@pytest.mark.parametrize("text", [*SPARSE, *FACTORED, *DENSE])
def test_a_contribution_knows_its_magnitudes(text):
    frame = frame_of(text, {0, 3}, 5, 2.0)
    named = decode_frame(frame, LIMITS).named(LAYOUT)
    contribution = Accumulator(LAYOUT).add(frame, 7)
    assert contribution.weight == 7
    assert contribution.magnitudes() == pytest.approx(
        {name: float(np.abs(step).sum()) for name, step in named.items()}, rel=1e-4
    )


def resealed(frame):
    return bytes(frame[:-4]) + zlib.crc32(bytes(frame[:-4])).to_bytes(4, "little")


@pytest.mark.parametrize("text", [*SPARSE, *FACTORED, *DENSE])
@given(data=st.data())
@settings(deadline=None, max_examples=40)
def test_a_refused_frame_leaves_the_sum_untouched(text, data):
    good = frame_of(text, LAYOUT.everything, 3, 1.0)
    bad = bytearray(frame_of(text, data.draw(st.sampled_from([{0, 1, 2, 3}, {1}, {0, 3}])), 4, 1.0))
    for _ in range(data.draw(st.integers(1, 3))):
        bad[data.draw(st.integers(0, len(bad) - 1))] ^= data.draw(st.integers(1, 255))
    total, alone = Accumulator(LAYOUT), Accumulator(LAYOUT)
    total.add(good, 10)
    alone.add(good, 10)
    try:
        total.add(resealed(bad) if data.draw(st.booleans()) else bytes(bad), 5)
    except FrameError:
        got, wanted = total.finish(MODEL), alone.finish(MODEL)
        assert all(got[name].tobytes() == wanted[name].tobytes() for name in SHAPES)
    else:  # it was another valid frame
        assert all(np.isfinite(tensor).all() for tensor in total.finish(MODEL).values())


@pytest.mark.parametrize("value", [3e38, -3e38])
@pytest.mark.parametrize("text", ["raw", "sign | golomb"])
def test_finite_values_that_would_overflow_the_sum_are_refused(text, value):
    update = {name: np.full(shape, value, np.float32) for name, shape in SHAPES.items()}
    frame, _ = encode_frame(parse_codec(text), LAYOUT, update, base=0, version=0)
    decode_frame(frame, LIMITS)
    with pytest.raises(FrameError, match="beyond"):
        Accumulator(LAYOUT).add(frame, 1000)


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf"), 2.0**40])
def test_a_weight_that_is_none_is_refused(weight):
    with pytest.raises(FrameError, match="weight"):
        Accumulator(LAYOUT).add(frame_of("raw", {0}, 1, 1.0), weight)


def test_a_frame_of_another_model_is_refused():
    other = {name: np.zeros((*shape, 1), np.float32) for name, shape in SHAPES.items()}
    frame, _ = encode_frame(parse_codec("raw"), Layout.of(other), other, base=0, version=0)
    with pytest.raises(FrameError, match="'a' has other shapes"):
        Accumulator(LAYOUT).add(frame, 1)


class Plus(Transform):
    """Adds one; does not commute with doubling."""

    family = "exact"

    def forward(self, tensors, seed):
        return [tensor + np.float32(1) for tensor in tensors], b""

    def backward(self, tensors, side, shapes, seed):
        return [tensor - np.float32(1) for tensor in tensors]


class Twice(Transform):
    family = "exact"

    def forward(self, tensors, seed):
        return [tensor * np.float32(2) for tensor in tensors], b""

    def backward(self, tensors, side, shapes, seed):
        return [tensor / np.float32(2) for tensor in tensors]


@given(st.lists(st.sampled_from([Plus, Twice]), min_size=2, max_size=6))
@settings(deadline=None)
def test_links_run_forwards_on_the_client_and_backwards_on_the_server(kinds):
    codec = Codec([parse_call("raw")], None, Chain([kind() for kind in kinds], Raw()))
    payload, _ = codec.encode({"w": np.float32([3, -5])})
    sent = np.float32([3, -5])
    for kind in kinds:
        (sent,), _ = kind().forward([sent], 0)
    np.testing.assert_array_equal(np.frombuffer(payload[len(kinds) :], "<f4"), sent)
    for unpack in (codec.decode, codec.decode_compact):
        (got,) = unpack(memoryview(payload), [(2,)])
        np.testing.assert_array_equal(got, [3, -5])


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("text", ["raw", "large(3, raw, raw)", "statistics(raw, raw)"])
@pytest.mark.parametrize("names", [["w", "n.running_mean"], ["n.running_mean", "n.running_var"]])
def test_no_entry_of_a_frame_is_other_than_finite_wherever_it_stands(text, names, poison):
    """A server adds what it has decoded as far as it needs: that has to be checked as well."""
    codec, entry = parse_codec(text), np.float32(0.71875)
    shapes = [(4,), (2,)]
    for place in range(6):
        flat = np.zeros(6, np.float32)
        flat[place] = entry
        tensors = dict(zip(names, np.split(flat, [4]), strict=True))
        payload, _ = codec.encode(tensors)
        assert payload.count(entry.tobytes()) == 1
        lie = memoryview(payload.replace(entry.tobytes(), np.float32(poison).tobytes()))
        with pytest.raises(FrameError, match="NaN, infinity or beyond"), np.errstate(all="ignore"):
            codec.decode_compact(lie, shapes)
        if np.isfinite(poison):
            continue
        with pytest.raises(FrameError, match="NaN or infinity"):
            codec.decode(lie, shapes)
