"""What a frame promises, byte for byte and error by error."""

import tracemalloc
import zlib

import numpy as np
import pytest

from frugalfl.blocks import Layout
from frugalfl.codec import Limits, decode_frame, encode_frame, parse_codec, read_bundle
from frugalfl.codec.buffer import varint
from frugalfl.codec.names import lengthen, shorten
from frugalfl.errors import FrameError, UsageError

MODEL = {
    "conv.weight": np.arange(72, dtype=np.float32).reshape(8, 1, 3, 3),
    "conv.bias": np.arange(8, dtype=np.float32),
    "dense.weight": np.ones((4, 8), np.float32),
}
LAYOUT = Layout.of(MODEL)
LIMITS = Limits.of(LAYOUT)


def frame_of(update=MODEL, text="float16 | zstd", base=None, version=5):
    return encode_frame(parse_codec(text), LAYOUT, update, base=base, version=version)[0]


def resealed(body):
    return bytes(body) + zlib.crc32(bytes(body)).to_bytes(4, "little")


def test_a_frame_says_what_it_is():
    frame = decode_frame(frame_of(base=4), LIMITS)
    assert (frame.codec, frame.base, frame.version) == ("float16 | zstd", 4, 5)
    assert decode_frame(frame_of(), LIMITS).base is None


def test_only_the_planned_blocks_travel():
    frame = frame_of({"dense.weight": MODEL["dense.weight"]})
    assert list(decode_frame(frame, LIMITS).blocks) == [1]
    assert len(frame) < len(frame_of())


def test_half_a_block_does_not_travel():
    with pytest.raises(UsageError, match="whole blocks"):
        frame_of({"conv.weight": MODEL["conv.weight"]})


def test_frames_follow_one_another_in_a_bundle():
    bundle = frame_of(base=4) + frame_of(base=5, version=6)
    assert [frame.version for frame in read_bundle(bundle, LIMITS, most=9)] == [5, 6]
    with pytest.raises(FrameError, match="more than 1"):
        read_bundle(bundle, LIMITS, most=1)


def test_codec_texts_survive_their_short_form():
    for text in ("feedback | topk(1.5%) | sign | range", "stochastic(24 sigma) | range"):
        assert parse_codec(lengthen(shorten(text))).text == text
        assert len(shorten(text)) < len(text) / 2


@pytest.mark.parametrize("cut", [1, 4, 5, 20])
def test_a_truncated_frame_is_named_as_such(cut):
    with pytest.raises(FrameError, match="truncated"):
        decode_frame(frame_of()[:-cut], LIMITS)


def test_a_flipped_bit_is_found():
    frame = bytearray(frame_of())
    frame[-20] ^= 1
    with pytest.raises(FrameError, match="damaged"):
        decode_frame(frame, LIMITS)


def test_other_bytes_are_not_a_frame():
    with pytest.raises(FrameError, match="wrong magic"):
        decode_frame(b"\x93NUMPY" * 20, LIMITS)


def test_a_newer_format_asks_for_an_upgrade():
    frame = bytearray(frame_of())
    frame[2] = 9
    with pytest.raises(FrameError, match="format 9.*upgrade"):
        decode_frame(frame, LIMITS)


def test_another_models_frame_is_refused():
    other = {"conv.weight": np.ones((8, 1, 3, 3), np.float32), "conv.bias": np.ones(9, np.float32)}
    frame = encode_frame(
        parse_codec("float16 | zstd"), Layout.of(other), other, base=None, version=0
    )[0]
    with pytest.raises(FrameError, match="'conv' has other shapes"):
        decode_frame(frame, LIMITS).named(LAYOUT)


FLOAT16 = shorten("float16 | zstd")


def header(shape, short=FLOAT16):
    """A full frame's header for one block with one tensor."""
    return b"".join(
        [b"fF\x01", varint(0), varint(1), varint(0), varint(len(short)), short, varint(1),
         bytes([0x80 | len(shape)]), *map(varint, shape)]
    )  # fmt: skip


def refused(body, limits, match):
    tracemalloc.start()
    with pytest.raises(FrameError, match=match):
        decode_frame(resealed(body), limits)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_an_unknown_codec_is_named():
    refused(header((8,), shorten("float99 | zstd")) + varint(1) + b"x", LIMITS, "'float99'")
    refused(header((8,), b"\xfe") + varint(1) + b"x", LIMITS, "0xfe that is not known here")


def test_a_huge_declared_tensor_takes_no_memory():
    refused(header((1 << 27, 1 << 27)) + varint(3) + b"abc", Limits(), "above the bound")


def test_a_zstd_bomb_takes_no_memory():
    import zstandard

    bomb = b"\x02" + zstandard.ZstdCompressor().compress(bytes(1 << 28))
    refused(header((8,)) + varint(len(bomb) + 1) + b"\0" + bomb, Limits(), "does not hold")


@pytest.mark.parametrize(
    "text", ["stochastic(24 sigma) | range", "feedback | topk(1%) | sign | range"]
)
def test_the_overhead_of_a_whole_update_is_small(text):
    names = ("0.weight", "0.bias", "3.weight", "3.bias", "6.weight", "6.bias", "8.weight", "8.bias")
    shapes = ((16, 1, 3, 3), (16,), (32, 16, 3, 3), (32,), (64, 512), (64,), (10, 64), (10,))
    update = {n: np.zeros(s, np.float32) for n, s in zip(names, shapes, strict=True)}
    codec = parse_codec(text)
    frame, _ = encode_frame(codec, Layout.of(update), update, base=900, version=900, seed=65535)
    payload, _ = codec.encode(update, seed=65535)
    assert len(frame) - len(payload) <= 48


def test_a_sparse_update_of_a_38_kilo_parameter_model_is_small():
    rng = np.random.default_rng(0)
    update = {"w": rng.standard_t(3, size=38_282).astype(np.float32)}
    frame, _ = encode_frame(
        parse_codec("feedback | topk(1%) | sign | golomb"),
        Layout.of(update),
        update,
        base=0,
        version=0,
    )
    assert len(frame) < 600
