"""A hundred thousand damaged frames: each is refused, or decodes to a valid update."""

import tracemalloc
import zlib

import numpy as np
import pytest

from frugalfl.blocks import Layout
from frugalfl.codec import Limits, decode_frame, encode_frame, parse_codec
from frugalfl.errors import FrameError

pytestmark = pytest.mark.slow

SHAPES = {"c.weight": (8, 1, 3, 3), "c.bias": (8,), "d.weight": (16, 72), "d.bias": (16,)}
ENTRIES = sum(int(np.prod(shape)) for shape in SHAPES.values())
TEXTS = (
    "raw", "zstd", "float16 | zstd", "topk(5%) | sign | golomb", "topk(5%) | sign | range",
    "stochastic(4 sigma) | range", "nearest(1 sigma) | range", "qsgd(4) | range",
    "lowrank(2) | nearest(1 sigma) | range", "eden(1) | zstd", "eden(3) | zstd", "auto(nmse 0.05)",
    "large(20, stochastic(4 sigma) | range, zstd)", "large(20, auto(nmse 0.2), sign | golomb)",
    "dithered(2 sigma) | rans", "dyadic(auto) | rans",
)  # fmt: skip
EACH = 10_000


@pytest.mark.parametrize("text", TEXTS)
def test_mutated_frames(text):
    rng = np.random.default_rng(1)
    update = {n: rng.standard_t(3, shape).astype(np.float32) for n, shape in SHAPES.items()}
    layout = Layout.of(update)
    limits = Limits.of(layout)
    good, _ = encode_frame(parse_codec(text), layout, update, base=1, version=1, seed=9)
    refused = peak = 0
    for number in range(EACH):
        frame = mutated(bytearray(good), rng)
        if number % 2 and len(frame) > 4:  # past the checksum, into the decoders
            frame[-4:] = zlib.crc32(frame[:-4]).to_bytes(4, "little")
        watched = number % 50 == 0
        if watched:
            tracemalloc.start()
        try:
            decoded = decode_frame(bytes(frame), limits)
            tensors = [t for block in decoded.blocks.values() for t in block]
            assert all(np.isfinite(tensor).all() for tensor in tensors)
            assert sum(tensor.size for tensor in tensors) <= ENTRIES
        except FrameError:
            refused += 1
        if watched:
            peak = max(peak, tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert refused >= EACH / 2 - 5  # every one whose checksum was left wrong
    # The fixed part is tables and counters that do not grow with the model.
    assert peak <= 16 * 4 * ENTRIES + 600_000


def mutated(frame, rng):
    """Flip, cut, insert or zero some bytes."""
    for _ in range(int(rng.integers(1, 5))):
        place = int(rng.integers(0, max(len(frame), 1)))
        kind = rng.integers(0, 4)
        if kind == 0 and frame:
            frame[place] ^= int(rng.integers(1, 256))
        elif kind == 1:
            del frame[place : place + int(rng.integers(1, 9))]
        elif kind == 2:
            frame[place:place] = rng.integers(0, 256, int(rng.integers(1, 9)), np.uint8).tobytes()
        else:
            frame[place : place + 4] = bytes(len(frame[place : place + 4]))
    return frame
