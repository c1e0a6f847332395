"""The core's coder of small integers gives the bytes of the Python, and refuses what the Python does."""

import ctypes
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from frugalfl.codec import dithered, rans
from frugalfl.codec.links import Draws
from frugalfl.errors import FrameError
from frugalfl.native import core, state
from frugalfl.native import dithered as native_dithered
from frugalfl.native import rans as native

pytestmark = pytest.mark.skipif(core() is None, reason=f"no compiled core: {state()}")

INT32 = np.iinfo(np.int32)
SEEDS = st.integers(0, 2**32 - 1)
SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=12)


def near_zero(width):
    return st.integers(-width, width)


@st.composite
def symbols(draw):
    """Tensors of one scale, of which some symbols may be far beyond it."""
    width = draw(st.sampled_from([1, 2, 8, 40, 300, 5000, INT32.max]))
    elements = near_zero(width)
    if draw(st.booleans()):
        elements |= st.integers(INT32.min, INT32.max)
    shapes = draw(st.lists(SHAPES, max_size=3))
    return [draw(arrays.arrays(np.int32, shape, elements=elements)) for shape in shapes]


@st.composite
def vectors(draw):
    """Long vectors as updates have them: normal or heavy-tailed."""
    rng = np.random.default_rng(draw(SEEDS))
    scale = 2.0 ** draw(st.integers(-3, 12))
    values = rng.standard_t(draw(st.sampled_from([1.5, 3, 50])), draw(st.integers(1, 1500)))
    return [np.rint(np.clip(values * scale, INT32.min, INT32.max)).astype(np.int32)]


def python_decode(data, shapes, draws):
    try:
        return rans.decode_in_python(memoryview(data), shapes, draws)
    except FrameError:
        return None


@given(symbols() | vectors(), SEEDS, st.booleans())
@example([np.array([INT32.min, INT32.max, 0], np.int32)], 0, True)
@example([], 1, True)
def test_bytes_are_those_of_the_python(tensors, seed, with_dither):
    draws = Draws(seed, dithered=with_dither)
    data = rans.encode_in_python(tensors, draws)
    assert native.encode(tensors, seed if with_dither else None) == data
    flat = np.concatenate([np.zeros(0, np.int32), *(tensor.ravel() for tensor in tensors)])
    got = native.decode(data, flat.size, seed if with_dither else None)
    assert got is not None and (got == flat).all()


@st.composite
def damaged(draw):
    """A payload with some bits flipped, cut, or made longer; or any bytes at all."""
    with_dither, seed = draw(st.booleans()), draw(SEEDS)
    tensors = draw(symbols() | vectors())
    count = sum(tensor.size for tensor in tensors)
    if draw(st.integers(0, 4)) == 0:
        return draw(st.binary(max_size=40)), count, Draws(seed, dithered=with_dither)
    data = bytearray(native.encode(tensors, seed if with_dither else None))
    for _ in range(draw(st.integers(0, 3)) if data else 0):
        data[draw(st.integers(0, len(data) - 1))] ^= 1 << draw(st.integers(0, 7))
    data = data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data
    data += draw(st.binary(max_size=7)) if draw(st.booleans()) else b""
    return bytes(data), count, Draws(seed, dithered=with_dither)


@given(damaged())
def test_damaged_bytes_are_refused_alike_or_read_alike(case):
    data, count, draws = case
    expected = python_decode(data, [(count,)], draws)
    got = native.decode(data, count, draws.seed if draws.dithered else None)
    assert (got is None) == (expected is None)
    if expected is not None:
        assert (got == expected).all()


@pytest.mark.parametrize(
    "data, says",
    [
        (b"\x10", "3 B too early"),
        (b"\x10\x00\x00\x00", "begins with a state of 0"),
        (b"\x10\x01\x80\x00", "do not end as they must|too early"),
    ],
)
def test_a_refusal_says_what_the_python_says(data, says):
    with pytest.raises(FrameError, match=says):
        rans.Rans().decode(memoryview(data), [(2,)], Draws(0))


def test_a_long_refused_payload_is_not_decoded_again(monkeypatch):
    monkeypatch.setattr(rans, "decode_in_python", None)
    with pytest.raises(FrameError, match="none that an encoder writes"):
        rans.Rans().decode(memoryview(b"\x10\0\0\0"), [(5000,)], Draws(0))


@given(vectors(), SEEDS, st.booleans(), st.sampled_from([1, 2, 4]))
def test_microcontrollers_room_and_narrow_symbols_give_the_same_bytes(
    tensors, seed, with_dither, width
):
    kind = np.dtype(f"i{width}").type
    narrow = np.clip(tensors[0], np.iinfo(kind).min + 1, np.iinfo(kind).max).astype(kind)
    room = np.full(core().fc_rans_room(0) // 4, 0xDEADBEEF, np.uint32)
    assert room.nbytes < 3500
    out, written = np.zeros(6 + 7 * narrow.size, np.uint8), ctypes.c_size_t()
    vector = (narrow.ctypes.data, width, narrow.size, with_dither, seed)
    rest = (room.ctypes.data, room.nbytes)
    assert not core().fc_rans_encode(
        *vector, out.ctypes.data, out.size, ctypes.addressof(written), *rest
    )
    data = out[: written.value].tobytes()
    assert data == native.encode([narrow.astype(np.int32)], seed if with_dither else None)
    got = np.zeros_like(narrow)
    vector = (got.ctypes.data, *vector[1:])
    assert not core().fc_rans_decode(data, len(data), *vector, *rest)
    assert (got == narrow).all()


def test_threads_do_not_disturb_each_other():
    rng = np.random.default_rng(5)
    cases = [
        ([np.rint(rng.standard_normal(700) * scale).astype(np.int32)], seed)
        for seed in range(8)
        for scale in (0.4, 3, 60)
    ]
    alone = [native.encode(tensors, seed) for tensors, seed in cases]

    def both_ways(case):
        tensors, seed = case
        data = native.encode(tensors, seed)
        return data, native.decode(data, 700, seed)

    with ThreadPoolExecutor(8) as pool:
        for (data, got), (tensors, _), expected in zip(
            pool.map(both_ways, 20 * cases), 20 * cases, 20 * alone, strict=True
        ):
            assert data == expected
            assert (got == tensors[0]).all()


FLOATS = st.floats(-1e6, 1e6, width=32)


@given(
    st.lists(SHAPES, min_size=1, max_size=3).flatmap(
        lambda shapes: st.tuples(
            *(arrays.arrays(np.float32, shape, elements=FLOATS) for shape in shapes)
        )
    ),
    st.integers(0, 255),
    SEEDS,
)
def test_dithered_rounding_gives_the_same_bits(tensors, number, seed):
    step = dithered._step_of(number)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = dithered.dither(tensors, step, seed)
    got = native_dithered.dither(tensors, step, seed)
    assert (got is None) == (expected is None)
    for own, other in zip(got or (), expected or (), strict=True):
        np.testing.assert_array_equal(own, other)
    restored = native_dithered.undither(got or (), step, seed)
    for own, other in zip(restored, dithered.undither(got or (), step, seed), strict=True):
        assert own.tobytes() == other.tobytes()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38])
def test_what_cannot_be_rounded_is_refused(bad):
    values = [np.ones(3, np.float32), np.array([1, bad], np.float32)]
    assert native_dithered.dither(values, 2.0**-20, 7) is None
