"""Laws of the entropy coder: what goes in comes out, whoever decodes; nothing corrupt gets far."""

from __future__ import annotations

import contextlib
import math
import time
import tracemalloc
from fractions import Fraction

import numpy as np
import plain_decoder as plain
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from symbol_matrices import draw, extreme, matrices

from frugalfl.codec import entropy
from frugalfl.codec.entropy import chance_tables, coded_tensors, lanes, rangecoder, rounding
from frugalfl.errors import CodecError, FrameError


@pytest.fixture(params=["scattered", "dense", "mixed"], autouse=True)
def mode(request, monkeypatch):
    """Every law holds for both coders, and for frames that have both."""
    if request.param == "dense":
        monkeypatch.setattr(coded_tensors, "LANES_FROM", 0)
        monkeypatch.setattr(coded_tensors, "MAX_HITS", 0)
        monkeypatch.setattr(coded_tensors, "DENSE_FROM", 0)
    if request.param == "mixed":
        monkeypatch.setattr(coded_tensors, "LANES_FROM", 0)
        monkeypatch.setattr(coded_tensors, "MAX_HITS", 30)
        monkeypatch.setattr(coded_tensors, "DENSE_FROM", 20)
    return request.param


anyhow = settings(deadline=None, max_examples=120, suppress_health_check=list(HealthCheck))


@anyhow
@given(st.one_of(matrices, extreme))
def test_round_trip_fast_and_plain(q):
    data = entropy.encode_tensors([q])
    out = entropy.decode_tensors(memoryview(data), [q.shape])[0]
    assert out.dtype == np.int32 and out.shape == q.shape
    np.testing.assert_array_equal(out, q)
    assert plain.decode_tensors(data, [q.shape])[0] == q.tolist()
    assert entropy.encode_tensors([q.astype(np.int32)]) == data
    assert len(data) <= 1.03 * entropy.ideal_bits([q]) / 8 + 16
    assert (data == b"") == (not q.any())


@anyhow
@given(st.lists(matrices, max_size=5), st.integers(0, 2**32), st.booleans())
def test_tensors_with_thresholds(qs, seed, hinted):
    words = [entropy.mix(seed + i, q.size).reshape(q.shape) for i, q in enumerate(qs)]
    hints = words if hinted else None
    shapes = [q.shape for q in qs]
    data = entropy.encode_tensors(qs, hints)
    for out, q in zip(entropy.decode_tensors(data, shapes, hints), qs, strict=True):
        np.testing.assert_array_equal(out, q)
    everything = np.concatenate([np.zeros(0, np.int32), *(q.ravel() for q in qs)])
    places, values = entropy.decode_nonzeros(data, shapes, hints)
    np.testing.assert_array_equal(places, everything.nonzero()[0])
    np.testing.assert_array_equal(values, everything[places])
    flat = [w.ravel().tolist() for w in words] if hinted else None
    assert plain.decode_tensors(data, shapes, flat) == [q.tolist() for q in qs]
    if data:
        with pytest.raises(FrameError):
            entropy.decode_tensors(data, shapes, None if hinted else words)


def test_mixed_frames_hold_both_kinds(mode):
    qs = [draw(1, 30, 40, 0.3, 0.5), draw(2, 30, 1, 0.1, 0.5), draw(3, 10, 10, 0.0, 0.5)]
    data = entropy.encode_tensors(qs)
    assert bool(data[0] & coded_tensors.LANED) == (mode != "scattered")
    assert plain.decode_tensors(data, [q.shape for q in qs]) == [q.tolist() for q in qs]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64, np.int64])
def test_any_integer_dtype_and_memory_order(dtype):
    q = np.asfortranarray(np.abs(draw(5, 20, 30, 0.2, 0.5)).clip(0, 100).astype(dtype))[::2, ::-1]
    np.testing.assert_array_equal(
        entropy.decode_tensors(entropy.encode_tensors([q]), [q.shape])[0], q
    )


def test_large_realistic_frame_meets_its_size():
    q = draw(7, 700, 600, 0.1, 0.3)
    data = entropy.encode_tensors([q])
    np.testing.assert_array_equal(entropy.decode_tensors(data, [(700, 600)])[0], q)
    assert len(data) <= 1.03 * entropy.ideal_bits([q]) / 8 + 16


@pytest.mark.parametrize("hinted", [False, True])
def test_long_frames_decode_alike(hinted):
    """Long enough for counters to be halved, for carries, and for blocks of very unequal length."""
    q = draw(11, 150, 200, 0.3, 0.2)
    q[40:120] = 0
    q[10:] = abs(q[10:])
    words = [entropy.mix(3, q.size).reshape(q.shape)] if hinted else None
    data = entropy.encode_tensors([q], words)
    np.testing.assert_array_equal(entropy.decode_tensors(data, [q.shape], words)[0], q)
    flat = [words[0].ravel().tolist()] if hinted else None
    assert plain.decode_tensors(data, [q.shape], flat)[0] == q.tolist()


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1e-30, 1e-3, 1.0, 3.0, 1e30]),
    st.integers(-4, 4),
    st.integers(-3, 3),
)
@settings(deadline=None, max_examples=300)
def test_shared_rounding_is_exact_next_to_its_threshold(word, step, whole, off):
    """A value a few units in the last place beside the threshold goes where exact numbers say."""
    x = np.float32((whole + (word + 0.5) / 2**32) * step)
    x = np.float32(x + off * np.spacing(x))
    size = Fraction(abs(float(x)) / step)
    up = size - math.floor(size) > Fraction(2 * word + 1, 2**33)
    expected = int(math.copysign(math.floor(size) + up, x))
    got = rounding.round_shared(np.array([x, 0], np.float32), step, np.array([word, 0], np.uint32))
    assert got.tolist() == [expected, 0]


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=30)
def test_shared_rounding_is_unbiased_and_bounded(seed):
    x = np.linspace(-2.3, 2.3, 47)
    words = entropy.mix(seed, 47 * 4096).reshape(4096, 47)
    q = rounding.round_shared(np.tile(x, (4096, 1)), 1.0, words)
    assert np.abs(q - x).max() < 1
    assert np.abs(q.mean(axis=0) - x).max() < 0.5 * 5.5 / 64


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_rounding_refuses_what_symbols_cannot_hold(bad):
    for call in (
        lambda x: rounding.round_nearest(x, 1.0),
        lambda x: rounding.round_shared(x, 1.0, np.zeros(2, np.uint32)),
    ):
        with pytest.raises(CodecError):
            call(np.array([0.0, bad], np.float32))


def test_a_zero_update_needs_no_step():
    zero = np.zeros((2, 3), np.float32)
    assert rounding.step_for_sigma([zero], 8) == rounding.step_for_noise([zero], 8) == 0
    assert not rounding.round_nearest(zero, 0.0).any()
    assert not rounding.round_shared(zero, 0.0, np.zeros((2, 3), np.uint32)).any()
    with pytest.raises(CodecError):
        rounding.round_nearest(zero + 1, 0.0)


def test_steps_and_centroids():
    x = [np.array([[3.0, -4.0]]), np.array([[0.0, 0.0]])]
    assert rounding.step_for_sigma(x, 2) == pytest.approx(5.0)
    assert rounding.step_for_hits(x, 7) == pytest.approx(1.0)
    assert rounding.step_for_noise(x, 7) == pytest.approx(25.0)
    q = [rounding.round_nearest(t, 2.0) for t in x]
    shifts = rounding.centroids(x, q, 2.0)
    assert [t.tolist() for t in q] == [[[1, -2]], [[0, 0]]] and shifts == [0.5, 0.0, 0.0]
    assert rounding.restore(q[0], 2.0, shifts).tolist() == [[3.0, -4.0]]


@pytest.mark.parametrize("symbol", [-(2**31), 2**31 - 1])
def test_the_largest_symbols_can_be_restored(symbol):
    got = rounding.restore(np.array([symbol], np.int32), 0.5, [0.1, 0.0, -0.25])
    np.testing.assert_allclose(got, symbol * 0.5, rtol=1e-6)


def outcome(decode, *args):
    try:
        return [np.asarray(x, dtype=np.int64).tolist() for x in decode(*args)]
    except FrameError:
        return "refused"


@anyhow
@given(matrices, st.data())
def test_mutated_bytes_are_refused_or_decode_alike(q, data):
    good = bytearray(entropy.encode_tensors([q]))
    kind = data.draw(st.sampled_from(["flip", "cut", "grow", "noise", "shape"]))
    shape = q.shape
    if kind == "flip" and good:
        for at in data.draw(st.lists(st.integers(0, len(good) - 1), min_size=1, max_size=4)):
            good[at] ^= data.draw(st.integers(1, 255))
    elif kind == "cut":
        good = good[: data.draw(st.integers(0, len(good)))]
    elif kind == "grow":
        good += data.draw(st.binary(min_size=1, max_size=9))
    elif kind == "noise":
        good = bytearray(data.draw(st.binary(max_size=200)))
    else:
        shape = (data.draw(st.integers(0, 30)), data.draw(st.integers(0, 30)))
    fast = outcome(entropy.decode_tensors, bytes(good), [shape])
    assert fast == outcome(plain.decode_tensors, bytes(good), [shape])


@pytest.mark.parametrize("seed", range(12))
def test_noise_costs_neither_time_nor_memory(seed):
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, 20000, np.uint8)
    noise[0] = [0, 0x40, 0x43, 0x4B][seed % 4]
    if seed > 7:
        noise[1:] = 0 if seed % 2 else 255
    tracemalloc.start()
    begin = time.process_time()
    with contextlib.suppress(FrameError):
        entropy.decode_tensors(noise.tobytes(), [(300, 400)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.process_time() - begin < 5
    assert peak < 200 * 300 * 400


@pytest.mark.parametrize("bad", [np.zeros(3, np.int64), np.zeros((2, 2)), np.full((1, 1), 2**31)])
def test_refused_arrays(bad):
    with pytest.raises(CodecError):
        entropy.encode_tensors([bad])


def test_every_truncation_of_a_dense_frame_is_refused():
    q = draw(1, 60, 50, 0.3, 0.5)
    data = entropy.encode_tensors([q])
    for cut in range(1, len(data) - 4):
        assert outcome(entropy.decode_tensors, data[:cut], [q.shape]) != [q.tolist()]


def test_words_are_the_same_in_plain_python():
    for seed in (0, 1, 2**32 - 1):
        assert entropy.mix(seed, 100).tolist() == [plain.mix_one(seed, i) for i in range(100)]


def test_tables_follow_their_formulas():
    assert list(chance_tables.EXP2) == [round(65536 * 2 ** (-i / 64)) for i in range(65)]
    assert list(chance_tables.HAZARDS) == [
        max(1, round(-np.log2(1 - p / 65536) * 65536)) for p in chance_tables.CHANCES
    ]
    assert list(chance_tables.CHANCES) == sorted(set(chance_tables.CHANCES))
    assert len(chance_tables.LEVELS) == 64 and chance_tables.LEVELS[40] == 2048
    assert len(chance_tables.SIGN_LEVELS) == 15 and chance_tables.SIGN_LEVELS[7] == 2048


def pinned() -> NDArray[np.int64]:
    cell = np.arange(54, dtype=np.int64)
    q = np.where(cell * 2654435761 % 37 < 9, cell % 7 - 3, 0).reshape(6, 9)
    q[3, 3] = -70000
    return q


def test_the_bytes_are_pinned(mode):
    """The wire format: a change here is a new format version, not a new expectation."""
    q = pinned()
    words = entropy.mix(5, 54).reshape(6, 9)
    scattered = "0002e0633f53ba1cf93ce13db0d1b32b8cc7"
    hinted = "800d3fcc94c075e862bb52f522ba763b9bc8"
    dense = "409508f4668379e6cd869d0cd8e502002e7005d07824cf39a9e4fb8d5a7eff4f00ea55"
    if mode == "scattered":
        assert entropy.encode_tensors([q]).hex() == scattered
        assert entropy.encode_tensors([q], [words]).hex() == hinted
    elif mode == "dense":
        assert entropy.encode_tensors([q]).hex() == dense
    for text, hints in ((scattered, None), (hinted, words), (dense, None)):
        data = bytes.fromhex(text)
        out = entropy.decode_tensors(data, [(6, 9)], None if hints is None else [hints])[0]
        np.testing.assert_array_equal(out, q)
        flat = None if hints is None else [hints.ravel().tolist()]
        assert plain.decode_tensors(data, [(6, 9)], flat) == [q.tolist()]


def test_a_tensor_without_entries_is_never_dense():
    """Its lines may be long: they would be decoded one by one, and no bound counts them."""
    scalar, lane = rangecoder.Encoder(), lanes.LaneEncoder()
    coded_tensors.code_map(scalar, [True])
    log_lanes, words = lane.finish(0)
    data = bytes([coded_tensors.LANED | log_lanes]) + scalar.finish() + words
    with pytest.raises(FrameError, match="corrupt"):
        entropy.decode_tensors(data, [(1 << 16, 0)])
    with pytest.raises(FrameError, match="corrupt"):
        plain.decode_tensors(data, [(1 << 16, 0)])
