"""Laws of the lists of kept channels: they arrive as they were, or not at all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugalfl.blocks import Layout
from frugalfl.codec import Cut, Limits, encode_cut, encode_frame, parse_codec, read_bundle
from frugalfl.codec.kept_channels import read_kept, write_kept
from frugalfl.errors import FrameError
from frugalfl.kept import take


@st.composite
def prunings(draw):
    """Layers whose axes share lists, have their own, are stretched, or stay whole."""
    lists, model, kept = [], {}, {}
    for number in range(draw(st.integers(1, 6))):
        shape, chosen = [], []
        for _ in range(draw(st.integers(0, 3))):
            kind = draw(st.sampled_from(["whole", "new", "shared"] if lists else ["whole", "new"]))
            if kind == "whole":
                shape.append(draw(st.integers(0, 12)))
                chosen.append(None)
                continue
            if kind == "new":
                size = draw(st.integers(2, 40))
                indices = draw(st.sets(st.integers(0, size - 1), min_size=1, max_size=size - 1))
                lists.append((size, np.array(sorted(indices))))
            size, indices = draw(st.sampled_from(lists))
            times = draw(st.integers(1, 3))
            shape.append(size * times)
            chosen.append((indices[:, None] * times + np.arange(times)).ravel())
        name = f"{number // 2}.{number}"
        model[name] = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)
        kept[name] = tuple(chosen)
    return model, kept


def listed(kept):
    return {name: [i if i is None else i.tolist() for i in axes] for name, axes in kept.items()}


@given(pruning=prunings())
@settings(deadline=None)
def test_lists_arrive_as_they_were(pruning):
    model, kept = pruning
    layout = Layout.of(model)
    assert listed(read_kept(write_kept(kept, layout), layout)) == listed(kept)


@given(pruning=prunings())
@settings(deadline=None)
def test_a_cut_leaves_the_outer_product_of_its_lists(pruning):
    model, kept = pruning
    layout = Layout.of(model)
    (cut,) = read_bundle(encode_cut(kept, layout, base=3, version=5), Limits.of(layout))
    assert (cut.base, cut.version) == (3, 5)
    for name, tensor in take(model, cut.kept(layout)).items():
        whole = model[name]
        pairs = zip(kept[name], whole.shape, strict=True)
        lists = [np.arange(size) if indices is None else indices for indices, size in pairs]
        np.testing.assert_array_equal(tensor, whole[np.ix_(*lists)] if lists else whole)


@given(pruning=prunings(), data=st.binary(max_size=60))
@settings(deadline=None, max_examples=200)
def test_any_bytes_are_lists_of_this_model_or_refused(pruning, data):
    model, _ = pruning
    layout = Layout.of(model)
    try:
        kept = read_kept(data, layout)
    except FrameError as error:
        assert "\n" not in str(error)
        return
    for name, tensor in model.items():
        assert len(kept[name]) == tensor.ndim
        for indices, size in zip(kept[name], tensor.shape, strict=True):
            if indices is not None:
                assert 0 < len(indices) < size
                assert indices[0] >= 0 and indices[-1] < size and (np.diff(indices) > 0).all()


@given(pruning=prunings(), place=st.integers(0), flip=st.integers(1, 255))
@settings(deadline=None)
def test_a_damaged_cut_is_refused(pruning, place, flip):
    model, kept = pruning
    layout = Layout.of(model)
    data = bytearray(encode_cut(kept, layout, base=3, version=5))
    data[place % len(data)] ^= flip
    with pytest.raises(FrameError):
        for part in read_bundle(data, Limits.of(layout), most=9):
            part.kept(layout)


def test_a_cut_of_another_model_is_refused():
    model = {"a.weight": np.zeros((8, 4), np.float32), "b.weight": np.zeros((4, 8), np.float32)}
    kept = {"a.weight": (np.arange(4), None), "b.weight": (None, np.arange(4))}
    cut = encode_cut(kept, Layout.of(model), base=0, version=1)
    (part,) = read_bundle(cut, Limits.of(Layout.of(model)))
    other = Layout.of(model | {"b.weight": np.zeros((5, 8), np.float32)})
    with pytest.raises(FrameError, match="another model"):
        part.kept(other)


def test_layers_that_share_their_channels_cost_little_more_than_one():
    """A convolution, its bias and norm, and what reads it: the list travels once."""
    rng = np.random.default_rng(0)
    indices = np.sort(rng.choice(64, 32, replace=False))
    stretched = (indices[:, None] * 16 + np.arange(16)).ravel()
    alone = {"0.weight": (64, 3, 3, 3)}
    shared = alone | {"0.bias": (64,), "1.weight": (64,), "1.bias": (64,), "2.weight": (10, 1024)}
    kept = {name: (indices, *[None] * (len(shape) - 1)) for name, shape in shared.items()}
    kept["2.weight"] = (None, stretched)

    def length(shapes):
        model = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        return len(write_kept(kept, Layout.of(model)))

    assert length(alone) <= 64 / 8 + 3
    assert length(shared) <= length(alone) + 4


def test_cuts_and_frames_follow_one_another_in_a_bundle():
    model = {"a.weight": np.zeros((8, 4), np.float32)}
    layout = Layout.of(model)
    cut = encode_cut({"a.weight": (np.arange(4), None)}, layout, base=0, version=1)
    frame, _ = encode_frame(parse_codec("raw"), layout, model, base=1, version=2)
    parts = read_bundle(frame + cut + cut + frame, Limits.of(layout), most=4)
    assert [isinstance(part, Cut) for part in parts] == [False, True, True, False]
    with pytest.raises(FrameError, match="more than 3"):
        read_bundle(cut * 4, Limits.of(layout), most=3)
