"""Every link that a codec text may name. A new one is a new file and one line here."""

from __future__ import annotations

from collections.abc import Callable

from frugalfl.calls import Call
from frugalfl.codec import float16, golomb, sign, topk, zstd
from frugalfl.codec.chain import Coder, Transform

TRANSFORMS: dict[str, Callable[[Call], Transform]] = {
    "topk": topk.build,
    "sign": sign.build,
    "float16": float16.build,
}

CODERS: dict[str, Callable[[Call], Coder]] = {
    "golomb": golomb.build,
    "zstd": zstd.build,
}
