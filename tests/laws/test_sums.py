"""Laws of the counters that clients add up: of their bytes, their sums, and what one gets back."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import damaged, sealed

from frugalfl.codec.buffer import Reader, varint
from frugalfl.codec.entropy.rice import decode_places, encode_places
from frugalfl.errors import FrameError, TaskError
from frugalfl.sums import Table, add_up, answers, pack_tables, unpack_tables

anyhow = settings(deadline=None, max_examples=60)
seeds = st.integers(0, 2**32 - 1)
PERIODS = 4
keys = st.sets(st.integers(0, 2**32 - 1) | st.integers(0, 12), max_size=12)
counts = st.sampled_from([0, 0, 0, 1, 2, 300, 2**20, 2**29])


@st.composite
def tables(draw, most_periods=None):
    """One client's tables; the second may have the keys of the first."""
    made = {}
    own = draw(keys)
    for name in draw(st.sampled_from([[], ["frauds"], ["frauds", "all"]])):
        own = own if draw(st.booleans()) else draw(keys)
        wide = PERIODS if most_periods is None else draw(st.integers(0, most_periods))
        flat = draw(st.lists(counts, min_size=len(own) * wide, max_size=len(own) * wide))
        made[name] = Table(
            np.array(sorted(own), np.uint32), np.array(flat, np.uint32).reshape(len(own), wide)
        )
    return made


def plain(part):
    """Return tables as numbers by name, key and period, those that are not zero."""
    return {
        (name, int(key), period): int(count)
        for name, table in part.items()
        for key, row in zip(table.keys, table.counts, strict=True)
        for period, count in enumerate(row)
        if count
    }


def added(parts):
    found = {}
    for part in parts:
        for place, count in plain(part).items():
            found[place] = found.get(place, 0) + count
    return found


def same(one, other):
    assert list(one) == list(other)
    for name, table in one.items():
        np.testing.assert_array_equal(table.keys, other[name].keys)
        np.testing.assert_array_equal(table.counts, other[name].counts)
        assert table.counts.shape == other[name].counts.shape


@anyhow
@given(tables(40))
def test_tables_arrive_as_they_were_sent(sent):
    same(unpack_tables(pack_tables(sent)), sent)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.12, 0.5, 1.0])
def test_large_tables_too_and_sparse_ones_take_few_bytes(share):
    rng = np.random.default_rng(0)
    own = np.unique(rng.integers(0, 1 << 24, 3000)).astype(np.uint32)
    chosen = rng.random((len(own), 200)) < share
    sent = {
        "frauds": Table(own, (chosen * rng.integers(1, 4, chosen.shape)).astype(np.uint32)),
        "all": Table(own, np.full((len(own), 3), 1 << 31, np.uint32)),
    }
    data = pack_tables(sent)
    same(unpack_tables(data), sent)
    if share <= 0.01:
        assert len(data) < 10_000 + 2 * chosen.sum()


@anyhow
@given(st.lists(tables(), min_size=1, max_size=4), st.randoms())
def test_sums_are_plain_sums_in_any_order(parts, random):
    total = add_up(parts)
    assert plain(total) == added(parts)
    shuffled = random.sample(parts, len(parts))
    assert plain(add_up(shuffled)) == plain(total)
    assert plain(add_up([add_up(parts[:1]), add_up(parts[1:])])) == plain(total)


@anyhow
@given(st.lists(tables(), min_size=1, max_size=4))
def test_each_client_gets_the_sums_at_its_own_keys_and_no_others(parts):
    whole = added(parts)
    for own, given_back in zip(parts, answers(parts), strict=True):
        assert list(given_back) == list(own)
        for name, table in given_back.items():
            np.testing.assert_array_equal(table.keys, own[name].keys)
            for key, row in zip(table.keys, table.counts, strict=True):
                assert list(row) == [whole.get((name, int(key), p), 0) for p in range(PERIODS)]


def test_a_sum_beyond_32_bits_is_an_error_and_not_a_small_number():
    most = {"frauds": Table(np.array([7], np.uint32), np.array([[2**32 - 1]], np.uint32))}
    one = {"frauds": Table(np.array([7], np.uint32), np.array([[1]], np.uint32))}
    assert plain(add_up([most])) == {("frauds", 7, 0): 2**32 - 1}
    with pytest.raises(FrameError, match="'frauds' is beyond 32 bits"):
        add_up([most, one])


def test_tables_of_other_periods_do_not_add_up():
    narrow, wide = (
        {"frauds": Table(np.array([7], np.uint32), np.ones((1, periods), np.uint32))}
        for periods in (2, 3)
    )
    with pytest.raises(FrameError, match=r"'frauds' have \[2, 3\] periods"):
        add_up([narrow, wide])


@pytest.mark.parametrize(
    ("own", "given_counts", "what"),
    [
        (np.array([2, 1], np.uint32), np.ones((2, 1), np.uint32), "sorted"),
        (np.array([1, 1], np.uint32), np.ones((2, 1), np.uint32), "each there once"),
        (np.array([1, 2]), np.ones((2, 1), np.uint32), "int64 and uint32; both must be uint32"),
        (np.array([1], np.uint32), np.ones((2, 1), np.uint32), r"\(1,\) and counts of shape"),
        (np.array([1], np.uint32), np.ones(1, np.uint32), r"must be \(keys,\) and \(keys, periods"),
    ],
)
def test_a_task_hears_what_is_wrong_with_its_tables(own, given_counts, what):
    with pytest.raises(TaskError, match=what) as error:
        Table(own, given_counts)
    assert "\n" not in str(error.value)


def test_a_task_hears_that_its_tables_are_too_many_or_too_large():
    empty = Table(np.zeros(0, np.uint32), np.zeros((0, 1), np.uint32))
    huge = Table(np.arange(2, dtype=np.uint32), np.zeros((2, 1 << 23), np.uint32))
    for wrong in (
        {f"table {number}": empty for number in range(17)},
        {"large": huge, "one more": Table(np.zeros(1, np.uint32), np.zeros((1, 1), np.uint32))},
        {"x" * 65: empty},
        {"": empty},
    ):
        with pytest.raises(TaskError):
            pack_tables(wrong)


SENT = {
    "frauds": Table(
        np.arange(5, 4000, 40, dtype=np.uint32), np.eye(100, 60, dtype=np.uint32) * 70_000
    ),
    "all": Table(np.arange(5, 4000, 40, dtype=np.uint32), np.full((100, 2), 9, np.uint32)),
}


@settings(deadline=None, max_examples=300)
@given(seeds, st.booleans())
def test_damage_is_a_frame_error_whatever_its_checksum(seed, resealed):
    data, rng = pack_tables(SENT), np.random.default_rng(seed)
    wrong = sealed(damaged(data[:-4], rng)) if resealed else damaged(data, rng)
    try:
        unpack_tables(wrong)
    except FrameError as error:
        assert "\n" not in str(error)
    else:
        assert resealed  # damage that has a right checksum may be other tables


def test_what_declares_itself_huge_takes_no_memory():
    name, most = varint(1) + b"t", varint(1 << 24)
    bodies = [
        varint(1 << 40),
        varint(1) + varint(1 << 40),
        varint(1) + name + most + most,  # 2**48 counts
        varint(1) + name + varint(1 << 60),
        varint(1) + name + most + varint(1) + most + b"\0" + varint(1 << 30) + b"\x05",
        varint(1) + name + most + varint(0) + varint(0) + b"\0" + varint(3) + b"\x00\xff\xff",
        varint(1) + name + most + varint(0) + varint(0) + b"\1",
        varint(1) + name + varint(0) + varint(0) + varint(0) + b"\1" + b"\x28\xb5\x2f\xfd",
    ]
    for body in bodies:
        tracemalloc.start()
        try:
            with pytest.raises(FrameError):
                unpack_tables(sealed(body))
            assert tracemalloc.get_traced_memory()[1] < 1_000_000
        finally:
            tracemalloc.stop()


places = st.sets(st.integers(0, 30) | st.integers(0, 2**40 - 1), max_size=40).map(sorted)


@anyhow
@given(places, st.binary(max_size=3))
def test_places_arrive_as_they_were_sent_and_nothing_behind_them_is_read(sent, behind):
    reader = Reader(encode_places(np.array(sent, np.int64)) + behind)
    below = max([0, *sent]) + 1
    assert decode_places(reader, len(sent), below).tolist() == sent
    assert bytes(reader.rest()) == behind


@anyhow
@given(places.filter(bool), st.integers(1, 3))
def test_places_beyond_their_bound_or_of_another_number_are_refused(sent, more):
    data = encode_places(np.array(sent, np.int64))
    with pytest.raises(FrameError, match="beyond"):
        decode_places(Reader(data), len(sent), sent[-1])
    with pytest.raises(FrameError):
        decode_places(Reader(data), len(sent) + 8 * more, sent[-1] + 1)


@settings(deadline=None, max_examples=200)
@given(places, seeds)
def test_damaged_places_are_a_frame_error_or_other_places_within_the_bound(sent, seed):
    data, below = encode_places(np.array(sent, np.int64)), max([0, *sent]) + 1
    try:
        got = decode_places(Reader(damaged(data, np.random.default_rng(seed))), len(sent), below)
    except FrameError:
        return
    assert len(got) == len(sent)
    assert (np.diff(got) > 0).all()
    assert got.size == 0 or 0 <= got[0] <= got[-1] < below


def test_a_tenth_of_all_places_takes_about_half_a_byte_each():
    rng = np.random.default_rng(0)
    sent = np.flatnonzero(rng.random(100_000) < 0.1)
    # The entropy of a place or none, by 100,000: 0.469 bits each.
    assert len(encode_places(sent)) < 1.06 * 0.469 * 100_000 / 8
