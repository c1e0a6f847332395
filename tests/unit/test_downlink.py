"""What the server sends to whom, and that everybody ends with the same bits."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugalfl.blocks import Layout, snap
from frugalfl.codec import MOST_MODELS, CodedFrame, encode_frame, parse_codec
from frugalfl.codec.seeded import draw_again
from frugalfl.errors import CodecError, FrameError
from frugalfl.kept import take
from frugalfl_client.held import Held
from frugalfl_server.rounds.downlink import Downlink

RNG = np.random.default_rng(0)
START = {
    "a.weight": RNG.normal(size=(40, 30)).astype(np.float32),
    "a.bias": np.zeros(40, np.float32),
    "b.weight": RNG.normal(size=(10, 40)).astype(np.float32),
}
LAYOUT = Layout.of(START)
CODEC = "topk(2%) | sign | golomb"


def moved(model, size=0.01):
    return {
        n: t + RNG.normal(scale=size, size=t.shape).astype(np.float32) for n, t in model.items()
    }


def deliver(downlink, node, held):
    base, frames = downlink.bundles_for([node])[node]
    assert base in (-1, held.version)
    held.apply(frames, LAYOUT)
    downlink.confirm(node, held.version)
    return len(frames)


def test_a_newcomer_gets_a_full_model_and_then_differences():
    downlink, held = Downlink(START, CODEC), Held()
    full = deliver(downlink, 1, held)
    model = START
    for _ in range(5):
        model = moved(model)
        downlink.advance(model)
        assert deliver(downlink, 1, held) < full / 20
    assert held.version == downlink.version == 5


def test_all_clients_hold_the_same_bits_whatever_they_missed():
    downlink = Downlink(START, CODEC)
    always, seldom, late = Held(), Held(), Held()
    deliver(downlink, 1, always)
    deliver(downlink, 2, seldom)
    model = START
    for number in range(12):
        model = moved(model)
        downlink.advance(model)
        deliver(downlink, 1, always)
        if number % 5 == 4:
            deliver(downlink, 2, seldom)
    deliver(downlink, 2, seldom)
    deliver(downlink, 3, late)
    for name, tensor in downlink.view.items():
        for held in (always, seldom, late):
            np.testing.assert_array_equal(held.model[name], tensor)


def test_what_a_frame_drops_comes_with_the_next_ones():
    downlink = Downlink(START, CODEC)
    target = moved(START, 0.05)

    def distance():
        return sum(float(np.abs(target[n] - downlink.view[n]).sum()) for n in target)

    before = distance()
    for _ in range(300):
        downlink.advance(target)
    assert distance() < before / 20


def test_nothing_new_sends_nothing():
    downlink, held = (
        Downlink({n: np.zeros_like(t) for n, t in START.items()}, CODEC),
        Held(),
    )
    deliver(downlink, 1, held)
    downlink.advance(downlink.view)
    assert deliver(downlink, 1, held) == 0


def test_a_long_chain_is_replaced_by_a_full_model():
    downlink, held = Downlink(START, "topk(50%) | sign | golomb"), Held()
    full = deliver(downlink, 1, held)
    model = START
    for _ in range(40):
        model = moved(model)
        downlink.advance(model)
    assert deliver(downlink, 1, held) <= full * 1.1
    assert sum(map(len, downlink._frames)) <= full * 1.1  # old frames are dropped


def test_a_client_that_holds_another_version_refuses_the_difference():
    downlink, held = Downlink(START, CODEC), Held()
    deliver(downlink, 1, held)
    held.version = 7
    downlink.advance(moved(START))
    with pytest.raises(FrameError, match="leads on from version 0, version 7 is held"):
        held.apply(downlink.bundles_for([1])[1][1], LAYOUT)


def test_a_pruned_model_replaces_a_whole_one():
    held = Held()
    deliver(Downlink(START, CODEC), 1, held)
    feedback = parse_codec("feedback(momentum 0.9) | topk(1%) | sign | golomb")
    _, held.residual = feedback.encode(START)
    pruned = {
        "a.weight": START["a.weight"][:20],
        "a.bias": START["a.bias"],
        "b.weight": START["b.weight"][:, :20],
    }
    held.apply(Downlink(pruned, CODEC, version=9).full(), LAYOUT)
    assert {n: t.shape for n, t in held.model.items()} == {n: t.shape for n, t in pruned.items()}
    # What was dropped of a.bias, and its momentum; the others' shapes are gone.
    assert {name: kept.shape for name, kept in held.residual.items()} == {
        "a.bias": (40,),
        "momentum:a.bias": (40,),
    }
    feedback.encode(pruned, held.residual)  # fits
    assert held.version == 9


def test_a_model_drawn_from_its_seed_travels_as_its_seed():
    drawn = draw_again(START, 5)
    downlink, early, late = Downlink(drawn, CODEC, seed=5), Held(), Held()
    assert deliver(downlink, 1, early) < 80
    for name, tensor in drawn.items():
        np.testing.assert_array_equal(early.model[name], snap(tensor))
    full = len(downlink.full())
    model = drawn
    for _ in range(5):
        model = moved(model)
        downlink.advance(model)
    assert deliver(downlink, 2, late) < full / 5  # the seed, and the differences since
    deliver(downlink, 1, early)
    for name, tensor in downlink.view.items():
        np.testing.assert_array_equal(early.model[name], tensor)
        np.testing.assert_array_equal(late.model[name], tensor)


def test_a_drawn_model_keeps_its_scale_and_its_constants():
    drawn = draw_again(START, 5)
    assert not drawn["a.bias"].any()
    for name in ("a.weight", "b.weight"):
        assert drawn[name].std() == pytest.approx(START[name].std(), rel=0.1)
    assert not np.array_equal(drawn["a.weight"], draw_again(START, 6)["a.weight"])


def test_a_trained_model_is_not_its_seed():
    with pytest.raises(CodecError, match="drawn from the same seed"):
        Downlink(moved(draw_again(START, 5)), CODEC, seed=5)


@pytest.mark.parametrize("codec", ["dyadic(2%) | range", CODEC, "nearest(2 sigma) | range"])
@pytest.mark.parametrize("missed", [1, 5, 50])
def test_a_client_that_missed_rounds_ends_with_the_bits_of_one_that_missed_none(codec, missed):
    downlink, always, absent = Downlink(START, codec), Held(), Held()
    deliver(downlink, 1, always)
    deliver(downlink, 2, absent)
    model = START
    for _ in range(missed):
        model = moved(model)
        downlink.advance(model)
        deliver(downlink, 1, always)
    deliver(downlink, 2, absent)
    assert absent.version == always.version == missed
    for name, tensor in always.model.items():
        np.testing.assert_array_equal(absent.model[name], tensor)


def test_what_was_missed_travels_as_one_sum():
    downlink, held = Downlink(START, "dyadic(5%) | range"), Held()
    deliver(downlink, 1, held)
    there, back = moved(START, 0.1), START
    for model in (there, back) * 10:  # what goes up and down again cancels
        downlink.advance(model)
    chain = sum(map(len, downlink._frames))
    assert deliver(downlink, 1, held) < chain / 3
    for name, tensor in downlink.view.items():
        np.testing.assert_array_equal(held.model[name], tensor)


def test_large_values_whose_sums_are_not_exact_travel_as_a_chain():
    big = {name: tensor + np.float32(2000.3) for name, tensor in START.items()}
    downlink, held = Downlink(big, "dyadic(5%) | range"), Held()
    deliver(downlink, 1, held)
    for _ in range(6):
        big = moved(big, 0.7)
        downlink.advance(big)
    deliver(downlink, 1, held)
    for name, tensor in downlink.view.items():
        np.testing.assert_array_equal(held.model[name], tensor)


def test_a_model_that_was_large_in_between_still_ends_with_the_same_bits():
    """Beyond 1024 float32 drops bits of the grid, so that a sum over that stretch would be off."""
    downlink, held = Downlink(START, "zstd"), Held()
    deliver(downlink, 1, held)
    for offset in (1500.3, 3000.7, 0.1):
        row = {"a.weight": START["a.weight"].copy()}
        row["a.weight"][0] += np.float32(offset)
        downlink.advance(START | row)
    deliver(downlink, 1, held)
    for name, tensor in downlink.view.items():
        np.testing.assert_array_equal(held.model[name], tensor)


KEPT = {
    "a.weight": (np.arange(0, 40, 2), None),
    "a.bias": (np.arange(0, 40, 2),),
    "b.weight": (None, np.arange(0, 40, 2)),
}


def rounds(downlink, model, count, size=0.01):
    for _ in range(count):
        model = moved(model, size)
        downlink.advance(model)
    return model


@pytest.mark.parametrize("codec", ["dyadic(2%) | range", CODEC])
def test_pruning_brings_everybody_to_the_same_bits_by_lists_alone(codec):
    """Whoever missed 0, 1 or many rounds before it, none or some after it, or holds nothing."""
    drawn = draw_again(START, 5)
    downlink = Downlink(drawn, codec, seed=5)
    clients = {node: Held() for node in range(8)}
    model = drawn
    for node in (0, 1, 2, 3, 4, 5):
        deliver(downlink, node, clients[node])
    model = rounds(downlink, model, 20)
    for node in (0, 1, 2):
        deliver(downlink, node, clients[node])
    model = rounds(downlink, model, 1)
    deliver(downlink, 0, clients[0])
    downlink.prune(KEPT)
    after = [0, 2, 4, 6]
    for node in after:  # right away: 0 holds the last whole model, 6 nothing
        deliver(downlink, node, clients[node])
    model = rounds(downlink, take(model, KEPT), 5)
    full = len(downlink.full())
    sizes = {node: deliver(downlink, node, held) for node, held in clients.items()}
    assert downlink.view["b.weight"].shape == (10, 20)
    for held in clients.values():
        assert held.version == downlink.version
        for name, tensor in downlink.view.items():
            np.testing.assert_array_equal(held.model[name], tensor)
    assert max(sizes.values()) < full / 2
    model = rounds(downlink, model, 1)
    assert max(deliver(downlink, node, held) for node, held in clients.items()) < full / 5


def test_who_is_up_to_date_is_sent_the_lists_only():
    downlink, held = Downlink(START, CODEC), Held()
    rounds(downlink, START, 3)
    deliver(downlink, 1, held)
    downlink.prune(KEPT)
    downlink.advance(downlink.view)
    assert deliver(downlink, 1, held) < 40


def test_pruning_a_model_whose_sums_are_not_exact_ends_with_the_same_bits():
    big = {name: tensor + np.float32(2000.3) for name, tensor in START.items()}
    downlink, early, late = Downlink(big, "dyadic(5%) | range"), Held(), Held()
    deliver(downlink, 1, early)
    big = rounds(downlink, big, 3, 0.7)
    downlink.prune(KEPT)
    rounds(downlink, take(big, KEPT), 3, 0.7)
    deliver(downlink, 1, early)
    deliver(downlink, 2, late)
    for name, tensor in downlink.view.items():
        np.testing.assert_array_equal(early.model[name], tensor)
        np.testing.assert_array_equal(late.model[name], tensor)


def test_a_model_that_is_pruned_twice_ends_with_the_same_bits():
    downlink, always, absent = Downlink(START, CODEC), Held(), Held()
    deliver(downlink, 1, always)
    deliver(downlink, 2, absent)
    again = {
        "a.weight": (np.arange(5), None),
        "a.bias": (np.arange(5),),
        "b.weight": (None, np.arange(5)),
    }
    model = START
    for kept in (KEPT, again):
        model = rounds(downlink, model, 2)
        deliver(downlink, 1, always)
        downlink.prune(kept)
        model = take(model, kept)
    rounds(downlink, model, 2)
    deliver(downlink, 1, always)
    deliver(downlink, 2, absent)
    for name, tensor in downlink.view.items():
        np.testing.assert_array_equal(always.model[name], tensor)
        np.testing.assert_array_equal(absent.model[name], tensor)


def test_a_frame_of_other_shapes_is_refused_before_it_is_decoded():
    downlink, held = Downlink(START, CODEC), Held()
    deliver(downlink, 1, held)
    other = {"a.weight": np.ones((40, 29), np.float32), "a.bias": START["a.bias"]}
    frame, _ = encode_frame(parse_codec("zstd"), Layout.of(other), other, base=0, version=1)
    body = frame[:-5] + bytes([frame[-5] ^ 1])
    with pytest.raises(FrameError, match="'a' has other shapes in the frame"):
        held.apply(body + zlib.crc32(body).to_bytes(4, "little"), LAYOUT)


def test_a_client_that_missed_more_rounds_than_a_message_holds_is_sent_a_model():
    """Numbers beyond 512 cannot be summed up exactly, so that frames would follow one another."""
    model = {"a.weight": np.full((64, 800), 600, np.float32)}
    downlink, held = Downlink(model, "raw"), Held()
    _, frames = downlink.bundles_for([1])[1]
    held.apply(frames, Layout.of(model))
    downlink = Downlink(model, "topk(0.002%) | sign | golomb")
    downlink.confirm(1, held.version)
    for missed in range(1, MOST_MODELS + 3):
        model = {"a.weight": downlink.view["a.weight"].copy()}
        model["a.weight"][0, 0] += 0.25
        downlink.advance(model)
        assert (downlink.bundles_for([1])[1][0] < 0) == (missed >= MOST_MODELS)
    held.apply(downlink.bundles_for([1])[1][1], Layout.of(model))
    np.testing.assert_array_equal(held.model["a.weight"], downlink.view["a.weight"])


@given(
    st.sampled_from(["dyadic(2%) | range", CODEC, "zstd"]), st.sampled_from([0, 2000.3]),
    st.integers(0, 30), st.integers(0, 20), st.booleans(),
)  # fmt: skip
@settings(max_examples=6, deadline=None)
def test_an_honest_server_sends_no_more_frames_than_a_device_takes(
    codec, offset, missed, since, pruned
):
    model = {name: tensor + np.float32(offset) for name, tensor in START.items()}
    downlink, early, newcomer = Downlink(model, codec), Held(), Held()
    deliver(downlink, 1, early)
    model = rounds(downlink, model, missed, 0.7)
    if pruned:
        downlink.prune(KEPT)
        model = take(model, KEPT)
    rounds(downlink, model, since, 0.7)
    for node, held in ((1, early), (2, newcomer)):
        deliver(downlink, node, held)
        for name, tensor in downlink.view.items():
            np.testing.assert_array_equal(held.model[name], tensor)


def test_more_frames_than_a_server_sends_are_refused_before_any_is_decoded(monkeypatch):
    downlink, held = Downlink(START, "raw"), Held()
    deliver(downlink, 1, held)
    step = {name: tensor * 0 for name, tensor in START.items()}
    codec = parse_codec("dyadic(2%) | range")
    frames = [
        encode_frame(codec, LAYOUT, step, base=number, version=number + 1)[0]
        for number in range(MOST_MODELS + 1)
    ]
    held.apply(b"".join(frames[:-1]), LAYOUT)
    assert held.version == MOST_MODELS
    monkeypatch.setattr(CodedFrame, "decode", lambda self: pytest.fail("it is decoded"))
    held.version = 0
    entries = sum(tensor.size for tensor in START.values())
    with pytest.raises(FrameError, match=f"hold {17 * entries} entries, above {16 * entries}"):
        held.apply(b"".join(frames), LAYOUT)


def test_a_damaged_or_foreign_cut_is_refused():
    downlink, held = Downlink(START, CODEC), Held()
    deliver(downlink, 1, held)
    downlink.prune(KEPT)
    _, cut = downlink.bundles_for([1])[1]
    damaged = bytearray(cut)
    damaged[-6] ^= 1
    with pytest.raises(FrameError, match="checksum of the pruning lists"):
        held.apply(bytes(damaged), LAYOUT)
    held.apply(cut, LAYOUT)
    with pytest.raises(FrameError, match="leads on from version 0, version 1 is held"):
        held.apply(cut, LAYOUT)
