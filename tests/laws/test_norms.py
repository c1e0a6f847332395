"""The norm of an update is that of its decoded values, and a refused update leaves no trace."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugalfl.blocks import Layout
from frugalfl.codec import Limits, decode_frame, encode_frame, parse_codec
from frugalfl.codec.buffer import varint
from frugalfl.errors import FrameError
from frugalfl_server.rounds.aggregate import Accumulator
from frugalfl_server.rounds.norm_bound import Far, NormBound
from frugalfl_server.rounds.norms import BlockKind
from frugalfl_server.rounds.row_claims import MOST_ROWS, RowClaims, capped_rows

SHAPES = {
    "a.weight": (12, 3, 3), "a.bias": (12,), "n.weight": (12,), "n.running_mean": (12,),
    "n.running_var": (12,), "c.weight": (20, 16), "c.empty": (0, 4),
}  # fmt: skip
MODEL = {name: np.ones(shape, np.float32) for name, shape in SHAPES.items()}
LAYOUT = Layout.of(MODEL)
TEXTS = (
    "sign | golomb", "qsgd(4) | range", "topk(20%) | sign | range", "lowrank(2) | float16 | zstd",
    "raw", "float16 | zstd", "eden(1) | zstd", "stochastic(8 sigma) | range",
)  # fmt: skip


def frame(text, seed, blocks=LAYOUT.everything, **about):
    rng = np.random.default_rng(seed)
    update = {n: rng.normal(size=SHAPES[n]).astype(np.float32) for n in LAYOUT.names(blocks)}
    about = {"base": 1, "version": 1, "seed": seed, **about}
    return encode_frame(parse_codec(text), LAYOUT, update, **about)[0]


@given(
    st.sampled_from(TEXTS),
    st.integers(0, 1000),
    st.sets(st.sampled_from(LAYOUT.everything), min_size=1),
    st.integers(1, 100),
)
@settings(max_examples=60, deadline=None)
def test_norms_are_those_of_the_decoded_update(text, seed, blocks, weight):
    data = frame(text, seed, sorted(blocks))
    found = []
    Accumulator(LAYOUT).add(data, weight, judge=found.append)
    expected = {}
    for name, tensor in decode_frame(data, Limits.of(LAYOUT)).named(LAYOUT).items():
        block = next(n for n, one in enumerate(LAYOUT.blocks) if name in one.tensors)
        kind = BlockKind(block, "running" in name)
        expected[kind] = expected.get(kind, 0) + float(np.square(tensor, dtype=np.float64).sum())
    assert found[0] == pytest.approx(expected, rel=1e-4, abs=1e-9)


def resealed(data, change):
    body = bytearray(data[:-4])
    change(body)
    return bytes(body) + zlib.crc32(body).to_bytes(4, "little")


def put(place, value):
    def change(body):
        body[place : place + len(value) if place >= 0 or place + len(value) else None] = value

    return change


OTHER = Layout.of({"a.weight": np.ones((5, 5), np.float32)})
BAD = {
    "checksum": lambda: frame("sign | golomb", 1)[:-1] + b"?",
    "truncated": lambda: frame("raw", 1)[:-9],
    "two frames": lambda: frame("raw", 1) * 2,
    "nan": lambda: resealed(frame("raw", 1), put(-4, np.float32(np.nan).tobytes())),
    "infinity": lambda: resealed(frame("raw", 1), put(-4, np.float32(np.inf).tobytes())),
    "square beyond float32": lambda: resealed(frame("raw", 1), put(-4, np.float32(3e38).tobytes())),
    "other shapes": lambda: encode_frame(
        parse_codec("raw"), OTHER, {"a.weight": np.ones((5, 5), np.float32)}, base=1, version=1
    )[0],
    "last byte missing inside": lambda: resealed(frame("sign | golomb", 1), lambda b: b.pop()),
    "a codec of nobody": lambda: resealed(
        frame("raw", 1), lambda b: b.__setitem__(slice(6, 7), varint(200))
    ),
    "empty": lambda: b"",
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("before", ["raw", "lowrank(2) | float16 | zstd", "sign | golomb"])
def test_a_frame_that_is_refused_leaves_the_sum_as_it_was(name, before):
    alone, disturbed = Accumulator(LAYOUT), Accumulator(LAYOUT)
    for total in (alone, disturbed):
        total.add(frame(before, 3), 5)
    with pytest.raises(FrameError):
        disturbed.add(BAD[name](), 7)
    for total in (alone, disturbed):
        total.add(frame("qsgd(4) | range", 4), 2)
    ends = [total.finish(MODEL) for total in (alone, disturbed)]
    assert all(np.array_equal(ends[0][name], ends[1][name]) for name in MODEL)


@pytest.mark.parametrize("text", TEXTS)
def test_so_does_one_that_is_judged_too_long(text):
    alone, disturbed = Accumulator(LAYOUT), Accumulator(LAYOUT)

    def refuse(norms):
        return Far(norms, "too long")

    for total in (alone, disturbed):
        total.add(frame("raw", 3), 5)
    assert disturbed.add(frame(text, 4), 1 << 31, judge=refuse).why == "too long"
    ends = [total.finish(MODEL) for total in (alone, disturbed)]
    assert all(np.array_equal(ends[0][name], ends[1][name]) for name in MODEL)


def length(value, block=0, statistics=False):
    return {BlockKind(block, statistics): float(value) ** 2}


def rounds(bound, *lengths):
    """Rounds of three updates of about one length each."""
    for value in lengths:
        waiting = []
        for norm in (value * 0.9, value, value * 1.1):
            far = bound.check(length(norm))
            waiting += [far] if far else []
        assert not any(bound.settle(waiting))
        bound.end_round()


def verdicts(bound, lengths):
    waiting, passed = [], []
    for norm in lengths:
        far = bound.check(norm if isinstance(norm, dict) else length(norm))
        (waiting if far else passed).append(far or norm)
    pardoned = [verdict is None for verdict in bound.settle(waiting)]
    bound.end_round()
    return len(passed), pardoned


def test_the_first_round_is_judged_by_itself():
    assert verdicts(NormBound(5), [1, 1.2, 30, 0.8, 0.01]) == (0, [True, True, False, True, True])
    assert verdicts(NormBound(5), [1, 30]) == (0, [True, True])  # nobody can say who is wrong


def test_later_ones_by_the_rounds_before_even_where_only_one_client_reports():
    bound = NormBound(5)
    rounds(bound, 1.0)
    assert verdicts(bound, [4.9]) == (1, [])
    assert verdicts(bound, [40.0]) == (0, [False])


def test_norms_may_fall_with_the_step_size_and_rise_for_all():
    bound = NormBound(5)
    rounds(bound, *(0.8**n for n in range(30)))
    assert verdicts(bound, [1.0]) == (0, [False])  # what was usual thirty rounds ago
    assert verdicts(bound, [1.0, 1.1, 0.9, 0.002]) == (1, [True, True, True])


def test_what_was_refused_does_not_become_usual():
    bound = NormBound(5)
    rounds(bound, 1.0)
    for _ in range(30):
        assert verdicts(bound, [1.0, 1.0, 1.0, 100.0, 100.0]) == (3, [False, False])


def test_blocks_are_compared_with_their_like():
    bound = NormBound(5)
    both = length(10) | length(0.1, 1)
    assert verdicts(bound, [both, both, both]) == (0, [True] * 3)
    assert verdicts(bound, [length(0.2, 1)]) == (1, [])
    assert verdicts(bound, [length(10, 1)]) == (0, [False])
    statistics = length(1000, 2, statistics=True) | length(1, 2)
    assert verdicts(bound, [statistics] * 3) == (0, [True] * 3)
    # Long statistics are no room for weights to hide in.
    assert verdicts(bound, [length(1000, 2, statistics=True) | length(50, 2)]) == (0, [False])


def test_without_a_bound_everything_passes():
    assert verdicts(NormBound(0), [1, 1, 1, 1e9]) == (4, [])


@given(st.lists(st.integers(1, 1 << 31), min_size=1, max_size=9))
def test_rows_count_up_to_ten_times_the_medians(rows):
    claims = RowClaims()
    for node, count in enumerate(rows):
        claims.claim(node, count)
    counted = [claims.weight_of(count) for count in rows]
    assert counted == capped_rows(rows)
    if len(rows) < 3:
        assert counted == rows
    else:
        middle = sorted(rows)[(len(rows) - 1) // 2]
        assert counted == [min(count, MOST_ROWS * middle) for count in rows]
