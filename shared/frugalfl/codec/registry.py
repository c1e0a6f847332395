"""Every link that a codec text may name. A new one is a new file and one line here.

``SHORT`` has the byte of each word inside a frame (`codec/names.py`); bytes are never reused.
"""

from __future__ import annotations

from collections.abc import Callable

from frugalfl.calls import Call
from frugalfl.codec import (
    auto,
    dithered,
    dyadic,
    eden,
    float16,
    golomb,
    large,
    lowrank,
    nearest,
    randomk,
    range,
    rans,
    raw,
    scaled,
    seeded,
    sign,
    stochastic,
    topk,
    zstd,
)
from frugalfl.codec.chain import Chain
from frugalfl.codec.links import Coder, Transform
from frugalfl.codec.step_rules import unknown_step

TRANSFORMS: dict[str, Callable[[Call], Transform]] = {
    "dithered": dithered.build,
    "dyadic": dyadic.build,
    "eden": eden.build,
    "float16": float16.build,
    "lowrank": lowrank.build,
    "nearest": nearest.build,
    "qsgd": stochastic.build_qsgd,
    "randomk": randomk.build,
    "scaled": scaled.build,
    "seeded": seeded.build,
    "sign": sign.build,
    "stochastic": stochastic.build,
    "topk": topk.build,
}

CODERS: dict[str, Callable[[Call], Coder]] = {
    "golomb": golomb.build,
    "range": range.build,
    "rans": rans.build,
    "raw": raw.build,
    "zstd": zstd.build,
}

#: Links whose arguments only the encoder needs: frames name them bare, and are read with these.
READERS: dict[str, Callable[[], Transform]] = {
    "dithered": lambda: dithered.Dithered(unknown_step),
    "nearest": lambda: nearest.Nearest(unknown_step),
    "qsgd": lambda: stochastic.Stochastic(unknown_step),
    "stochastic": lambda: stochastic.Stochastic(unknown_step),
    "topk": lambda: topk.TopK(1.0),
}

#: Built from their call and from what builds the chains among its arguments.
CHOOSERS: dict[str, Callable[[Call, Callable[[Call], Chain]], Coder]] = {
    "auto": auto.build,
    "large": large.build,
}

#: What a codec may end in; ``statistics`` is a whole codec.
ENDS = frozenset({*CODERS, *CHOOSERS, "statistics"})

#: Other links whose arguments matter to the encoder only, and that read without them as they are.
ENCODER_ONLY = frozenset({"auto", "dyadic", "range"})

#: Bytes that stand for the names of links, and for words in their arguments, inside a frame.
SHORT = {
    "feedback": 0x80,
    "float16": 0x81,
    "lowrank": 0x82,
    "nearest": 0x83,
    "qsgd": 0x84,
    "randomk": 0x85,
    "sign": 0x86,
    "stochastic": 0x87,
    "topk": 0x88,
    "eden": 0x89,
    "seeded": 0x8A,
    "large": 0x8B,
    "auto": 0x8C,
    "dyadic": 0x8D,
    "statistics": 0x8E,
    "scaled": 0x8F,
    "dithered": 0x90,
    "golomb": 0xA0,
    "range": 0xA1,
    "raw": 0xA2,
    "zstd": 0xA3,
    "rans": 0xA4,
    "sigma": 0xC0,
    "noise": 0xC1,
}
