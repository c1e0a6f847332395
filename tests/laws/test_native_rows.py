"""Frames coded row by row: what is coded comes back, from the core and from Python alike."""

import random

import numpy as np
import plain_decoder
import pytest
from both_ways import both, in_python, needs_core
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from frugalfl.blocks import Layout
from frugalfl.codec import Limits, decode_frame, encode_frame, entropy, parse_codec
from frugalfl.codec.entropy import rows
from frugalfl.codec.entropy.chance_tables import FIRST_HALVES, SHARE_LOGS
from frugalfl.codec.entropy.coded_tensors import encode_tensors, ideal_bits
from frugalfl.codec.entropy.scatter import MAX_HITS
from frugalfl.errors import FrameError, UsageError

SMALL = st.sampled_from([0, 0, 0, 0, 0, 0, 1, -1, 1, -1, 2, -3])
ANY = st.one_of(st.just(0), st.integers(-(2**31), 2**31 - 1))
MATRICES = hnp.arrays(
    np.int32,
    st.tuples(st.integers(0, 30), st.integers(0, 40)),
    elements=st.one_of(SMALL, ANY),
    fill=st.just(0),
)


def signs_in(height, width, places):
    flat = np.zeros(height * width, np.int32)
    for place in places:
        flat[place % flat.size] = 1 - 2 * (place & 1)
    return flat.reshape(height, width)


WIDE = st.builds(
    signs_in,
    st.integers(1, 3),
    st.sampled_from([1, 4095, 4096, 4097, 9000]),
    st.lists(st.integers(0, 2**31), max_size=60),
)
TENSORS = st.lists(st.one_of(MATRICES, WIDE), min_size=1, max_size=4)


def decoded(data, shapes):
    places, values = entropy.decode_nonzeros(data, shapes)
    return places.tolist(), values.tolist()


@given(TENSORS)
@example([np.ones((5, 7), np.int32)])
@example([np.full((3, 1), -(2**31), np.int32), np.zeros((2, 0), np.int32)])
@example([np.eye(64, 4100, dtype=np.int32)])
def test_what_is_coded_comes_back_and_both_write_the_same_bytes(tensors):
    shapes = [tensor.shape for tensor in tensors]
    data, again = both(lambda: encode_tensors(tensors, by_rows=True))
    assert data == again
    flat = np.concatenate([tensor.ravel() for tensor in tensors])
    assert data == b"" if not flat.any() else data[0] == 0x20
    for found in both(lambda: decoded(data, shapes)):
        assert found == (flat.nonzero()[0].tolist(), flat[flat.nonzero()].tolist())
    if flat.size < 10_000:  # the decoder that was written after the document
        assert plain_decoder.decode_tensors(data, shapes) == [one.tolist() for one in tensors]
    for tensor, back in zip(tensors, entropy.decode_tensors(data, shapes), strict=True):
        assert back.dtype == np.int32
        np.testing.assert_array_equal(back, tensor)


@given(TENSORS)
def test_the_ideal_size_is_the_frames(tensors):
    data = encode_tensors(tensors, by_rows=True)
    ideal = ideal_bits(tensors, by_rows=True) / 8
    assert len(data) <= 1.05 * ideal + 6


@needs_core
@given(TENSORS, st.randoms(use_true_random=False))
def test_damaged_frames_are_read_or_refused_alike(tensors, choose: random.Random):
    shapes = [tensor.shape for tensor in tensors]
    data = bytearray(encode_tensors(tensors, by_rows=True) or b"\x20")
    for _ in range(choose.randrange(4)):
        data[choose.randrange(len(data))] ^= 1 << choose.randrange(8)
    if choose.random() < 0.3:
        del data[choose.randrange(1, len(data) + 1) :]
    if choose.random() < 0.3:
        data += choose.randbytes(choose.randrange(40))
    one, other = both(lambda: decoded(bytes(data), shapes))
    if isinstance(one, str) and isinstance(other, str):
        assert one.split(":")[0] == other.split(":")[0]  # two errors may be found in another order
    else:
        assert one == other


def test_more_nonzeros_than_rows_are_for_go_another_way():
    many = np.ones((MAX_HITS + 1, 1), np.int32)
    assert encode_tensors([many], by_rows=True) == encode_tensors([many])
    assert encode_tensors([many[1:]], by_rows=True)[0] == 0x20


@pytest.mark.parametrize("flags", [0x10, 0x21, 0x30, 0x60, 0xA0])
def test_other_flags_are_refused(flags):
    with pytest.raises(FrameError):
        entropy.decode_nonzeros(bytes([flags, 1, 2, 3]), [(3, 4)])


def test_thresholds_do_not_go_with_rows():
    matrix = np.eye(6, dtype=np.int32)
    words = entropy.mix(5, 36).reshape(6, 6)
    assert encode_tensors([matrix], [words], by_rows=True) == encode_tensors([matrix], [words])
    data = encode_tensors([matrix], by_rows=True)
    with pytest.raises(FrameError, match="without rounding thresholds"):
        entropy.decode_nonzeros(data, [(6, 6)], [words])


def test_the_bytes_are_pinned():
    """The wire format: a change here is a new format version, not a new expectation."""
    cell = np.arange(54, dtype=np.int64)
    matrix = np.where(cell * 2654435761 % 37 < 9, cell % 7 - 3, 0).reshape(6, 9).astype(np.int32)
    for data in both(lambda: encode_tensors([matrix, np.sign(matrix)], by_rows=True).hex()):
        assert data == PINNED


PINNED = "20653cdecf7a8bf822a6bb175919574bef44"


def test_the_tables_are_what_their_docstrings_say():
    assert list(SHARE_LOGS[:64]) == [round(-65536 * np.log2(1 - i / 64)) for i in range(64)]
    assert list(FIRST_HALVES[1:]) == [round(65536 * (1 - 2 ** (-1 / k))) for k in range(1, 65)]
    assert len(SHARE_LOGS) == len(FIRST_HALVES) == 65
    assert rows.WIDEST * max(SHARE_LOGS) < 2**32  # as the core multiplies them


@pytest.mark.parametrize("text", ["topk(5%) | sign | range", "nearest(3 sigma) | range"])
def test_a_frame_is_shorter_and_holds_the_same(text):
    rng = np.random.default_rng(1)
    scales = rng.exponential(size=(120, 1)) * rng.exponential(size=(1, 80))
    update = {"w": (rng.normal(size=(120, 80)) * scales).astype(np.float32)}
    layout = Layout.of(update)
    frames = [
        encode_frame(parse_codec(one), layout, update, base=1, version=1)[0]
        for one in (text, f"{text}(rows)")
    ]
    before, after = (decode_frame(frame, Limits.of(layout)) for frame in frames)
    assert before.codec == after.codec  # a receiver needs no other chain
    np.testing.assert_array_equal(before.blocks[0][0], after.blocks[0][0])
    assert len(frames[1]) < len(frames[0])
    with in_python():
        assert (
            encode_frame(parse_codec(f"{text}(rows)"), layout, update, base=1, version=1)[0]
            == (frames[1])
        )


def test_another_option_is_refused():
    with pytest.raises(UsageError, match="range takes 'rows' or nothing"):
        parse_codec("sign | range(columns)")
