"""Mutations thrown at the server in real rounds, and at a client: none gets anywhere."""

import tracemalloc

import numpy as np
import pytest
from flwr.app import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import BOMBS, zstd_bomb

from frugalfl import wire
from frugalfl.blocks import Layout
from frugalfl.codec import encode_frame, parse_codec
from frugalfl.errors import FrameError
from frugalfl_server.rounds.aggregate import Accumulator

from .hostile_requests import throw_requests
from .hostile_rounds import GOOD, throw


def check(hostile, alone, app, throwers):
    rounds = len(hostile.updates)
    assert app.thrown == throwers * rounds
    assert hostile.updates == alone.updates == [GOOD] * rounds
    for name, tensor in alone.model.items():
        assert np.array_equal(tensor, hostile.model[name]), name
    assert len(hostile.warnings) >= app.thrown


@given(st.integers(0, 2**32 - 1))
@settings(
    max_examples=2, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
def test_no_mutation_reaches_the_model(tmp_path_factory, seed):
    check(*throw(tmp_path_factory.mktemp("rounds"), 60, 2, seed), 60)


def test_nor_through_a_strategy_that_sees_every_update(tmp_path):
    check(*throw(tmp_path, 40, 2, 7, strategy="fedmedian"), 40)


@pytest.mark.parametrize("codec", ["raw", "dithered(2 sigma) | rans"])
def test_nor_in_a_subspace(tmp_path, codec):
    subspace = "subspace(64, fold 1)"
    check(*throw(tmp_path, 40, 3, 11, codec=codec, refresh=subspace, initial="seeded"), 40)


def test_nor_a_client(tmp_path):
    assert throw_requests(tmp_path, 300, 5) == 300


@pytest.mark.slow
def test_ten_thousand_mutations_do_not_reach_the_model(tmp_path):
    check(*throw(tmp_path, 100, 100, 1), 100)


@pytest.mark.slow
def test_nor_ten_thousand_a_client(tmp_path):
    assert throw_requests(tmp_path, 10_000, 2) == 10_000


def test_what_unpacks_to_a_lot_takes_no_memory():
    model = {"a.w": np.ones((50, 40), np.float32)}
    layout = Layout.of(model)
    frame, _ = encode_frame(parse_codec("raw"), layout, model, base=1, version=1)
    rng = np.random.default_rng(0)
    for bomb in BOMBS:
        content = wire.pack_reply(wire.TrainReply(1, frame, 3, 1.0))
        content["ledger"]["records"] = bomb
        with pytest.raises(FrameError), peak_below(8_000_000):
            wire.unpack_reply(Message(content, dst_node_id=1, message_type="train"))
    for _ in range(10):
        bomb = zstd_bomb(frame, rng)
        with pytest.raises(FrameError), peak_below(100_000):
            Accumulator(layout).add(bomb, 1)


class peak_below:  # noqa: N801 - reads as a statement
    """Fail where the block takes more memory than that (B)."""

    def __init__(self, most):
        self.most = most

    def __enter__(self):
        tracemalloc.start()

    def __exit__(self, *_):
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < self.most
