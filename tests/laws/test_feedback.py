"""Laws of error feedback's options: momentum correction and staleness decay."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from frugalfl.codec import parse_codec

CHAINS = ["topk(10%) | sign | golomb", "nearest(2 sigma) | range", "auto(nmse 0.2)"]
matrices = hnp.arrays(np.float32, (4, 5), elements=st.floats(-10, 10, width=32))
HALF = parse_codec("feedback(momentum 0.5) | topk(50%) | float16 | zstd")


def sent_by(codec, update, state, missed=0):
    payload, state = codec.encode({"w": np.float32(update)}, state, missed=missed)
    (got,) = codec.decode(memoryview(payload), [np.shape(update)])
    return got, state


@pytest.mark.parametrize("chain", CHAINS)
@given(first=matrices, second=matrices, missed=st.integers(0, 30))
@settings(deadline=None, max_examples=25)
def test_a_stale_residual_is_damped_exactly(chain, first, second, missed):
    """As if the device had held decay**missed of its residual all along."""
    fading, plain = (
        parse_codec(f"feedback(decay 0.5) | {chain}"),
        parse_codec(f"feedback | {chain}"),
    )
    _, state = fading.encode({"w": first, "b": first[0]})
    damped = {name: kept * np.float32(0.5**missed) for name, kept in state.items()}
    expected, expected_state = plain.encode({"w": second}, damped)
    payload, after = fading.encode({"w": second}, state, missed=missed)
    assert payload == expected
    assert after.keys() == expected_state.keys() == {"w", "b"}
    for name, kept in after.items():  # b was not planned, and is as stale
        np.testing.assert_array_equal(kept, expected_state[name])


def test_without_decay_no_round_is_too_far_away():
    plain = parse_codec("feedback | topk(50%) | float16 | zstd")
    _, state = sent_by(plain, [8, 1], {})
    np.testing.assert_array_equal(sent_by(plain, [0, 0], state, missed=1000)[0], [0, 1])


def test_decay_reaches_the_momentum_too():
    codec = parse_codec("feedback(momentum 0.5, decay 0.5) | topk(50%) | float16 | zstd")
    _, state = sent_by(codec, [8, 1], {})
    # A quarter of the residual of 1, and half of a quarter of the momentum of 1.
    np.testing.assert_array_equal(sent_by(codec, [0, 0], state, missed=2)[0], [0, 0.375])


def test_what_waits_gathers_momentum_until_it_is_sent():
    """The residual of an entry that is never sent is that of SGD with momentum, summed up."""
    state, velocity, place = {}, 0.0, 0.0
    for _ in range(6):
        velocity = 0.5 * velocity + 1
        place += velocity
        got, state = sent_by(HALF, [100, 1], state)
        np.testing.assert_array_equal(got, [100, 0])
        assert state["w"][1] == place


def test_momentum_starts_again_where_an_entry_was_sent():
    _, state = sent_by(HALF, [100, 1], {})
    _, state = sent_by(HALF, [100, 1], state)
    got, state = sent_by(HALF, [0, 1], state)  # now the second one is the largest
    np.testing.assert_array_equal(got, [0, 1 + 1.5 + 1.75])
    got, _ = sent_by(HALF, [0, 1], state)
    np.testing.assert_array_equal(got, [0, 1])  # neither residual nor momentum is left


@given(updates=st.lists(matrices, min_size=1, max_size=4))
@settings(deadline=None, max_examples=25)
def test_momentum_changes_nothing_for_a_chain_that_sends_everything(updates):
    codec, state = parse_codec("feedback(momentum 0.9) | zstd"), {}
    for update in updates:
        got, state = sent_by(codec, update, state)
        np.testing.assert_array_equal(got, update)


@pytest.mark.parametrize(
    "options", ["", "(momentum 0.9)", "(decay 0.9)", "(momentum 0.9, decay 0.9)"]
)
def test_options_cost_no_bytes(options):
    """A receiver does not need them, so the frame does not name them."""
    from frugalfl.blocks import Layout
    from frugalfl.codec import Limits, decode_frame, encode_frame

    update = {"w": np.arange(20, dtype=np.float32)}
    layout = Layout.of(update)
    sizes = []
    for text in ("feedback | sign | golomb", f"feedback{options} | sign | golomb"):
        frame, _ = encode_frame(parse_codec(text), layout, update, base=0, version=0)
        assert decode_frame(frame, Limits.of(layout)).codec == "sign | golomb"
        sizes.append(len(frame))
    assert sizes[0] == sizes[1]
