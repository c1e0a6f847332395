"""Decoders of updates: frames of every codec, bundles, lists of kept channels, the accumulator."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from functools import partial

import numpy as np

from frugalfl.blocks import Layout
from frugalfl.codec import (
    CodedFrame,
    Fold,
    Limits,
    decode_frame,
    encode_cut,
    encode_fold,
    encode_frame,
    parse_codec,
    read_bundle,
)
from frugalfl.codec.frame import write_outline
from frugalfl.codec.kept_channels import read_kept, write_kept
from frugalfl.errors import FrugalFLError
from frugalfl_server.rounds.aggregate import Accumulator
from fuzzing.decoder import Decoder
from fuzzing.mutate import bytes_like, sealed, with_crc

_SHAPES = {"c.weight": (4, 1, 3, 3), "c.bias": (4,), "d.weight": (8, 36), "d.bias": (8,)}
_CODECS = (
    "raw", "zstd", "float16 | zstd", "topk(5%) | sign | golomb", "topk(5%) | sign | range",
    "stochastic(4 sigma) | range", "nearest(1 sigma) | range", "qsgd(4) | range",
    "lowrank(2) | nearest(1 sigma) | range", "eden(1) | zstd", "eden(3) | zstd", "auto(nmse 0.05)",
    "large(20, stochastic(4 sigma) | range, zstd)", "large(20, auto(nmse 0.2), sign | golomb)",
    "randomk(10%) | float16 | zstd", "dyadic(auto) | range", "dyadic(auto) | rans",
    "dithered(2 sigma) | rans",
)  # fmt: skip


def decoders() -> Iterator[Decoder]:
    """Yield them."""
    rng = np.random.default_rng(1)
    update = {n: rng.standard_t(3, shape).astype(np.float32) for n, shape in _SHAPES.items()}
    layout = Layout.of(update)
    limits = Limits.of(layout)
    frames = {}
    for text in _CODECS:
        frames[text], _ = encode_frame(parse_codec(text), layout, update, base=1, version=1, seed=9)
        yield Decoder(f"frame of {text}", [frames[text]], sealed(with_crc),
                      partial(_finite, limits=limits), 1.5)  # fmt: skip
    whole, few = frames["zstd"], frames["topk(5%) | sign | range"]
    later, _ = encode_frame(parse_codec("raw"), layout, update, base=1, version=2, seed=9)
    kept = {name: tuple(_axis(size) for size in shape) for name, shape in _SHAPES.items()}
    cut = encode_cut(kept, layout, base=1, version=2)
    yield Decoder("cut", [cut], sealed(lambda body: body + _cut_checksum(body, layout)),
                  partial(_all_of, limits=limits), 2)  # fmt: skip
    fold = encode_fold(Fold(1, 2, 0))
    yield Decoder("fold", [fold], sealed(with_crc), partial(_all_of, limits=limits), 2)
    bundles = [whole + later, few + cut, cut + later, few + fold, fold + later]
    yield Decoder("bundle of frames", bundles, _in_a_bundle,
                  partial(_all_of, limits=limits), 2)  # fmt: skip
    yield Decoder("kept channels", [write_kept(kept, layout)], bytes_like,
                  lambda data: read_kept(data, layout), 2)  # fmt: skip
    yield Decoder("accumulator of updates", list(frames.values()), sealed(with_crc),
                  _Adder(layout), 2)  # fmt: skip


def _cut_checksum(body: bytes, layout: Layout) -> bytes:
    outline = write_outline(layout, layout.everything)
    return zlib.crc32(outline, zlib.crc32(body)).to_bytes(4, "little")


def _axis(size: int) -> np.ndarray[tuple[int], np.dtype[np.int64]] | None:
    return np.arange(0, size, 2) if size > 3 else None


def _all_of(data: bytes, limits: Limits) -> None:
    for part in read_bundle(data, limits, 3):
        if isinstance(part, CodedFrame):
            part.decode()


def _finite(data: bytes, limits: Limits) -> None:
    for block in decode_frame(data, limits).blocks.values():
        if not all(np.isfinite(tensor).all() for tensor in block):
            raise AssertionError("a frame with numbers that are none was decoded")


def _in_a_bundle(data: bytes, rng: random.Random) -> bytes:
    """Change a bundle; the last frame's checksum is made right in half of them."""
    return sealed(with_crc)(data, rng) if rng.random() < 0.5 else bytes_like(data, rng)


class _Adder:
    """Adds updates; one that is refused leaves the sums as they were."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._good, _ = encode_frame(
            parse_codec("raw"), layout,
            {n: np.ones(shape, np.float32) for n, shape in _SHAPES.items()}, base=1, version=1,
        )  # fmt: skip

    def __call__(self, data: bytes) -> None:
        sums = Accumulator(self._layout)
        sums.add(self._good, 3)
        try:
            sums.add(data, 2)
        except FrugalFLError:
            zeros = {name: np.zeros(shape, np.float32) for name, shape in _SHAPES.items()}
            if any((tensor != 1).any() for tensor in sums.finish(zeros).values()):
                raise AssertionError("a refused update changed the sums") from None
            raise
