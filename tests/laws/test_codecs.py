"""Laws that every codec must obey, whatever it is made of."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from frugalfl.blocks import Layout, snap
from frugalfl.codec import Limits, decode_frame, encode_frame, parse_codec, read_bundle
from frugalfl.errors import CodecError, FrameError, UsageError

CODECS = [
    "raw",
    "zstd",
    "float16 | zstd",
    "topk(10%) | float16 | zstd",
    "sign | golomb",
    "sign | range",
    "topk(10%) | sign | range(rows)",
    "feedback | nearest(2%) | range(rows)",
    "feedback | topk(10%) | sign | golomb",
    "feedback | topk(10%) | sign | range",
    "nearest(1.27 sigma) | range",
    "feedback | nearest(2%) | range",
    "dyadic(10%) | range",
    "feedback | dyadic(10%) | range",
    "lowrank(1) | nearest(2.5 sigma) | range",
    "feedback | lowrank(2) | float16 | zstd",
    "stochastic(24 sigma) | range",
    "stochastic(8 noise) | range",
    "stochastic(5%) | range",
    "stochastic(auto) | range",
    "stochastic(8 noise, 0.5) | range",
    "qsgd(4) | range",
    "qsgd(8) | zstd",
    "eden(1) | zstd",
    "eden(3) | zstd",
    "eden(4) | zstd",
    "randomk(10%) | float16 | zstd",
    "randomk(10%) | stochastic(4 sigma) | range",
    "feedback(momentum 0.9) | topk(10%) | sign | golomb",
    "feedback(decay 0.5) | nearest(2%) | range",
    "large(10, stochastic(8 sigma) | range, float16 | zstd)",
    "large(40, zstd, large(10, raw, float16 | zstd))",
    "feedback | large(10, topk(10%) | sign | golomb, zstd)",
    "auto",
    "auto(nmse 0.01)",
    "feedback | auto(nmse 0.3)",
    "large(10, auto(nmse 0.2), raw)",
    "scaled | nearest(1 sigma) | range",
    "scaled | stochastic(4 sigma) | range",
    "scaled | zstd",
    "statistics(stochastic(8 sigma) | range, zstd)",
    "dithered(2 sigma) | rans",
    "dithered(0.5 sigma) | zstd",
    "dyadic(10%) | rans",
    "scaled | nearest(1 sigma) | rans",
]
UNBIASED = [text for text in CODECS if parse_codec(text).family == "unbiased"]
EXACT = [text for text in CODECS if parse_codec(text).family == "exact"]
#: Momentum correction adds to the updates, so that their plain sum is not what arrives.
FEEDBACK = [text for text in CODECS if text.startswith("feedback") and "momentum" not in text]

values = st.floats(-1000, 1000, width=32)
tensors = hnp.arrays(
    np.float32, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=7), elements=values
)
updates = st.lists(tensors, min_size=1, max_size=5).map(
    lambda arrays: {
        f"layer{i // 2}.{'weight' if i % 2 == 0 else 'bias'}": a for i, a in enumerate(arrays)
    }
)


def round_trip(text, update, residual=None, seed=7):
    layout = Layout.of(update)
    frame, residual = encode_frame(
        parse_codec(text), layout, update, base=3, version=3, residual=residual, seed=seed
    )
    decoded = decode_frame(frame, Limits.of(layout))
    return frame, decoded.named(layout), residual


@pytest.mark.parametrize("text", CODECS)
@pytest.mark.parametrize("size", [1e-45, 1e-38, 1e-20, 1e3])
def test_updates_of_any_size_are_written(text, size):
    """Squares of the smallest numbers leave float32."""
    update = {"layer0.weight": np.full((3, 4), size, np.float32)}
    _, got, _ = round_trip(text, update)
    assert np.isfinite(got["layer0.weight"]).all()


@pytest.mark.parametrize("text", CODECS)
@given(update=updates)
@settings(deadline=None, max_examples=40)
def test_names_shapes_and_dtype_survive(text, update):
    _, got, _ = round_trip(text, update)
    assert {n: (a.shape, a.dtype) for n, a in got.items()} == {
        n: (a.shape, np.dtype(np.float32)) for n, a in update.items()
    }


@pytest.mark.parametrize("text", CODECS)
@given(update=updates)
@settings(deadline=None, max_examples=15)
def test_same_input_same_bytes(text, update):
    assert round_trip(text, update)[0] == round_trip(text, update)[0]


@pytest.mark.parametrize("text", CODECS)
@given(update=updates)
@settings(deadline=None, max_examples=10)
def test_a_frame_is_as_long_as_it_says(text, update):
    """Nothing between frames says where one ends: it must know itself."""
    frame, got, _ = round_trip(text, update)
    layout = Layout.of(update)
    both = read_bundle(frame + frame, Limits.of(layout), most=2)
    for coded in both:
        for name, tensor in coded.decode_for(layout).items():
            np.testing.assert_array_equal(tensor, got[name])


@given(update=updates)
@settings(deadline=None, max_examples=100)
def test_float16_is_as_near_as_float16_can_be(update):
    _, got, _ = round_trip("float16 | zstd", update)
    for name, tensor in update.items():
        np.testing.assert_array_equal(got[name], tensor.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("text", [text for text in CODECS if text.endswith("range")])
def test_frames_are_near_the_ideal_of_their_coder(text):
    rng = np.random.default_rng(4)
    update = {"w": rng.standard_t(3, (200, 150)).astype(np.float32), "b": np.ones(9, np.float32)}
    codec = parse_codec(text)
    size, ideal = len(codec.encode(update, seed=5)[0]), codec.ideal_bytes(update, seed=5)
    assert ideal <= size <= 1.03 * ideal + 40


def test_only_range_has_an_ideal():
    with pytest.raises(UsageError, match="range"):
        parse_codec("sign | golomb").ideal_bytes({"w": np.ones(3, np.float32)})


@given(
    steps=st.lists(
        hnp.arrays(np.float32, (6, 5), elements=st.floats(-10, 10, width=32)),
        min_size=1,
        max_size=6,
    )
)
@settings(deadline=None, max_examples=40)
@pytest.mark.parametrize("text", FEEDBACK)
def test_error_feedback_telescopes_to_the_true_sum(text, steps):
    residual, sent = {}, np.zeros((6, 5))
    for step in steps:
        _, got, residual = round_trip(text, {"w": step}, residual)
        sent += got["w"]
    np.testing.assert_allclose(
        sent + residual["w"], sum(s.astype(np.float64) for s in steps), atol=1e-3
    )


@pytest.mark.parametrize("text", UNBIASED)
def test_unbiased_codecs_are_right_on_average(text):
    rng = np.random.default_rng(0)
    update = {
        "a.weight": rng.standard_t(3, (12, 9)).astype(np.float32),
        "a.bias": np.ones(12, np.float32),
    }
    codec = parse_codec(text)
    shapes = [tensor.shape for tensor in update.values()]
    draws = np.array([
        np.concatenate([t.ravel() for t in codec.decode(memoryview(codec.encode(update, seed=seed)[0]), shapes, seed)])
        for seed in range(600)
    ])  # fmt: skip
    truth = np.concatenate([tensor.ravel() for tensor in update.values()])
    off = draws.mean(axis=0) - truth
    # Most entries are seldom hit, so their own spread says little: the largest one bounds all.
    error = draws.std(axis=0).max() / np.sqrt(len(draws))
    assert np.abs(off).max() <= 5 * error
    # All entries together: neither too small nor too large.
    along = draws @ truth / (truth @ truth)
    assert abs(along.mean() - 1) <= 5 * along.std() / np.sqrt(len(draws)) + 1e-3


@pytest.mark.parametrize("text", UNBIASED)
def test_other_seeds_give_other_noise_and_the_same_seed_the_same(text):
    update = {"w": np.random.default_rng(1).normal(size=(20, 30)).astype(np.float32)}
    first, again, other = (round_trip(text, update, seed=seed)[1]["w"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    "link", ["stochastic(8 sigma)", "qsgd(2)", "randomk(5%) | stochastic(2 sigma)"]
)
def test_feedback_on_an_unbiased_coder_is_refused_with_the_reason(link):
    with pytest.raises(UsageError, match="residual diverges"):
        parse_codec(f"feedback | {link} | range")


@pytest.mark.parametrize("text", EXACT)
def test_blocks_sent_apart_are_the_blocks_sent_together(text):
    """For exact codecs only: lossy ones choose over the whole update."""
    update = {"a.w": np.float32([[1, 2], [3, 4]]), "b.w": np.float32([5, 6])}
    layout = Layout.of(update)
    apart = {}
    for name in update:
        frame, _ = encode_frame(parse_codec(text), layout, {name: update[name]}, base=0, version=0)
        apart |= decode_frame(frame, Limits.of(layout)).named(layout)
    _, together, _ = round_trip(text, update)
    assert {n: t.tolist() for n, t in apart.items()} == {n: t.tolist() for n, t in together.items()}


@given(tensor=hnp.arrays(np.float32, 400, elements=values), share=st.integers(1, 100))
@settings(deadline=None, max_examples=60)
def test_topk_keeps_the_largest_entries_and_no_others(tensor, share):
    _, got, _ = round_trip(f"topk({share}%) | float16 | zstd", {"w": tensor})
    kept = got["w"] != 0
    assert kept.sum() <= 4 * share
    if kept.any() and (~kept).any():
        smallest_kept = np.abs(tensor[kept]).min()
        assert np.abs(tensor[~kept]).max() <= smallest_kept * 1.001 + 1e-4


@given(tensor=hnp.arrays(np.float32, 300, elements=values))
@settings(deadline=None, max_examples=60)
def test_sign_keeps_the_total_magnitude(tensor):
    _, got, _ = round_trip("sign | golomb", {"w": tensor})
    np.testing.assert_allclose(
        np.abs(got["w"]).sum(dtype=np.float64),
        np.abs(tensor).sum(dtype=np.float64),
        rtol=1e-4,
        atol=1e-4,
    )


def test_blocks_that_are_not_planned_keep_their_residual():
    update = {"a.weight": np.float32([1, 2, 3, 4]), "b.weight": np.float32([5, 6, 7, 8])}
    layout = Layout.of(update)
    codec = parse_codec("feedback | topk(25%) | sign | golomb")
    _, residual = encode_frame(codec, layout, update, base=0, version=0)
    _, after = encode_frame(
        codec, layout, {"b.weight": update["b.weight"]}, base=1, version=1, residual=residual
    )
    np.testing.assert_array_equal(after["a.weight"], residual["a.weight"])
    assert not np.array_equal(after["b.weight"], residual["b.weight"])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("text", CODECS)
def test_nan_and_infinity_are_refused_by_name(text, bad):
    with pytest.raises(CodecError, match="'layer.weight'.*NaN or infinity"):
        round_trip(text, {"layer.weight": np.float32([1, bad])})


def test_a_value_beyond_float16_is_refused():
    with pytest.raises(CodecError, match="65504"):
        round_trip("float16 | zstd", {"w": np.float32([1e6])})


def test_non_contiguous_arrays_are_as_good_as_others():
    base = np.arange(48, dtype=np.float32).reshape(6, 8)
    _, got, _ = round_trip("float16 | zstd", {"w": base.T[::2]})
    np.testing.assert_array_equal(got["w"], base.T[::2])


@pytest.mark.parametrize("text", CODECS)
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_a_mutated_frame_is_refused_or_decodes_to_a_valid_update(text, data):
    update = {
        "a.weight": np.linspace(-1, 1, 60, dtype=np.float32).reshape(6, 10),
        "a.bias": np.ones(6, np.float32),
    }
    layout = Layout.of(update)
    frame = bytearray(encode_frame(parse_codec(text), layout, update, base=0, version=0)[0])
    for _ in range(data.draw(st.integers(1, 4))):
        kind = data.draw(st.sampled_from(["flip", "cut", "insert"]))
        place = data.draw(st.integers(0, len(frame) - 1))
        if kind == "flip":
            frame[place] ^= data.draw(st.integers(1, 255))
        elif kind == "cut":
            del frame[place : place + data.draw(st.integers(1, 9))]
        else:
            frame[place:place] = data.draw(st.binary(min_size=1, max_size=9))
        if not frame:
            break
    if data.draw(st.booleans()) and len(frame) > 4:  # let it past the checksum, into the decoders
        import zlib

        frame[-4:] = zlib.crc32(frame[:-4]).to_bytes(4, "little")
    try:
        decoded = decode_frame(bytes(frame), Limits.of(layout))
    except FrameError:
        return
    assert all(np.isfinite(t).all() for block in decoded.blocks.values() for t in block)


@pytest.mark.parametrize("text", CODECS)
def test_decoding_needs_at_most_sixteen_times_the_model(text):
    """Memory of a decoder is bounded by the shapes, so that a device can plan for it."""
    update = {"d.weight": np.random.default_rng(0).standard_t(3, (64, 512)).astype(np.float32)}
    layout = Layout.of(update)
    frame, _ = encode_frame(parse_codec(text), layout, update, base=0, version=0, seed=3)
    decode_frame(frame, Limits.of(layout))  # caches of tables are not the frame's
    tracemalloc.start()
    decode_frame(frame, Limits.of(layout))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= 16 * update["d.weight"].nbytes


@given(update=updates)
@settings(deadline=None, max_examples=40)
def test_multiples_of_the_grid_survive_dyadic_without_a_share(update):
    on_grid = {name: snap(tensor) for name, tensor in update.items()}
    _, got, _ = round_trip("dyadic | range", on_grid)
    for name, tensor in on_grid.items():
        np.testing.assert_array_equal(got[name], tensor)


def test_dyadic_without_a_share_refuses_what_is_not_on_the_grid():
    with pytest.raises(CodecError, match="multiples of 2"):
        round_trip("dyadic | range", {"w": np.float32([0.1])})


def test_frames_do_not_say_what_only_the_encoder_needs():
    codec = parse_codec("feedback | topk(5%) | nearest(2 sigma) | range")
    assert codec.wire_text == "topk | nearest | range"
    with pytest.raises(UsageError, match="for reading"):
        parse_codec("nearest | range", reading=True).encode({"w": np.float32([1])})


def test_a_steered_frame_says_its_step_and_its_base():
    update = {"w": np.float32([1, -3, 0, 4])}
    bound = parse_codec("stochastic(2 noise, 0.5) | range")
    layout = Layout.of(update)
    frame, _ = encode_frame(bound, layout, update, base=0, version=0)
    steering = decode_frame(frame, Limits.of(layout)).steering
    assert steering.step == pytest.approx(2 * 0.5)
    assert steering.base == pytest.approx((1 + 9 + 16) / 8, rel=1 / 128)
