"""Frames that are damaged on their way, or by a liar, and what the server makes of them."""

from __future__ import annotations

import itertools
import zlib
from dataclasses import dataclass

import numpy as np
from federations import bits

from frugalfl.blocks import Layout
from frugalfl.codec import encode_frame, parse_codec
from frugalfl.errors import FrameError
from frugalfl_server.rounds.aggregate import Accumulator


@dataclass(frozen=True)
class Frames:
    """What became of damaged frames, as a line or a disk leaves them, and as a liar seals them.

    Attributes:
        damaged: With a wrong checksum.
        refused: How many of these were refused.
        same_model: Whether the model is what it is without them.
        sealed: Damaged, and then given a right checksum.
        sealed_refused: How many of these were refused; the others are valid, if strange, updates.
        finite: Whether all models are finite that these make.
    """

    damaged: int
    refused: int
    same_model: bool
    sealed: int
    sealed_refused: int
    finite: bool


def damage_frames(count: int, seed: int = 1) -> Frames:
    """Damage so many frames in each of both ways, for what adds up a server's updates."""
    rng = np.random.default_rng(seed)
    shapes = {"c.weight": (8, 1, 3, 3), "c.bias": (8,), "d.weight": (16, 72), "d.bias": (16,)}
    update = {n: rng.standard_t(3, shape).astype(np.float32) for n, shape in shapes.items()}
    layout = Layout.of(update)
    texts = (
        "raw",
        "zstd",
        "topk(5%) | sign | golomb",
        "stochastic(4 sigma) | range",
        "eden(1) | zstd",
    )
    whole = [
        encode_frame(parse_codec(text), layout, update, base=1, version=1, seed=9)[0]
        for text in texts
    ]
    alone, crowded = Accumulator(layout), Accumulator(layout)
    for total in (alone, crowded):
        total.add(whole[0], 1)
    refused = sealed_refused = 0
    finite = True
    for frame in itertools.islice(itertools.cycle(whole), count):
        data = _damaged(frame, rng)
        refused += _refused(crowded, data)
        liar = Accumulator(layout)
        if _refused(liar, data[:-4] + zlib.crc32(data[:-4]).to_bytes(4, "little")):
            sealed_refused += 1
        else:
            finite &= all(np.isfinite(tensor).all() for tensor in liar.finish(update).values())
    same = bits(crowded.finish(update)) == bits(alone.finish(update))
    return Frames(count, refused, same, count, sealed_refused, bool(finite))


def _refused(total: Accumulator, frame: bytes) -> bool:
    try:
        total.add(frame, 1)
    except FrameError:
        return True
    return False


def _damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Change, cut out or insert some bytes; never what it was."""
    frame = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        place = int(rng.integers(0, len(frame)))
        kind = rng.integers(0, 3)
        if kind == 0:
            frame[place] ^= int(rng.integers(1, 256))
        elif kind == 1 and len(frame) > 16:
            del frame[place : place + int(rng.integers(1, 9))]
        else:
            frame[place:place] = rng.bytes(int(rng.integers(1, 9)))
    return bytes(frame) if bytes(frame) != data else data + b"\0"
