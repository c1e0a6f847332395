"""What a late update counts for, and whose turn it is."""

import math
from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from frugalfl.asynchronous import staleness_weight
from frugalfl.blocks import Layout
from frugalfl.codec import encode_frame, parse_codec
from frugalfl_server.cohort.round_robin import RoundRobin
from frugalfl_server.rounds.aggregate import Accumulator

MODEL = {"a": np.linspace(-1, 1, 12, dtype=np.float32), "b": np.ones((2, 3), np.float32)}
LAYOUT = Layout.of(MODEL)
#: Of a constant tensor these lose nothing: added as they are, as thin factors, and sparsely.
CODECS = ["raw", "zstd", "feedback | lowrank(1) | zstd", "feedback | sign | golomb"]


@given(st.integers(0, 10_000))
def test_a_weight_is_that_of_the_paper(steps):
    assert math.isclose(staleness_weight(steps) ** -2, 1 + steps)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 500),  # rows
            st.integers(0, 40),  # staleness
            st.floats(-2, 2, width=32),
            st.sampled_from(CODECS),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_a_buffer_is_divided_by_the_whole_weights(updates):
    total = Accumulator(LAYOUT)
    expected = {name: np.zeros_like(tensor) for name, tensor in MODEL.items()}
    for rows, steps, value, codec in updates:
        step = {name: np.full_like(tensor, value) for name, tensor in MODEL.items()}
        frame, _ = encode_frame(parse_codec(codec), LAYOUT, step, base=0, version=0)
        total.add(frame, rows, share=staleness_weight(steps))
        for name in MODEL:
            expected[name] += rows * np.float32(value / math.sqrt(1 + steps))
    moved = total.finish(MODEL)
    rows = sum(rows for rows, *_ in updates)
    for name, tensor in MODEL.items():
        np.testing.assert_allclose(moved[name], tensor + expected[name] / rows, atol=1e-5)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 99), st.integers(0, 1 << 32))
def test_turns_go_round(clients, places, first, seed):
    turns, nodes = RoundRobin(seed), range(first, first + clients)
    rounds = 5
    counts = Counter(n for _ in range(rounds * clients) for n in turns.next(nodes, places))
    assert set(counts) == set(nodes)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert sum(counts.values()) == rounds * clients * min(places, clients)
