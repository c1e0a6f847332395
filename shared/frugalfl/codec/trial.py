"""Try a codec before it is needed: whether its coder can write what the links before it hand on."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from frugalfl.blocks import Parameters, Shape
from frugalfl.calls import Call, parse_chain
from frugalfl.codec.codec import parse_codec
from frugalfl.codec.registry import CODERS
from frugalfl.errors import CodecError, FrameError, UsageError

#: Of the updates that are tried: two layers and a bias.
_SHAPES: tuple[Shape, ...] = ((32, 24), (16, 4, 3, 3), (24,))
#: What the server makes of ``stochastic(auto)`` in a round of ten clients.
_AUTO, _STEERED = "stochastic(auto)", "stochastic(17.9 noise, 0.012)"


@lru_cache(maxsize=64)
def check_works(text: str) -> None:
    """Encode a made update with a codec, by each of the ways that it may take, and decode it.

    Raises:
        UsageError: The coder cannot write what the links before it make, so that no round could
            work.
    """
    for way in _ways(parse_chain(text).links):
        codec = parse_codec(" | ".join(map(str, way)).replace(_AUTO, _STEERED))
        try:
            for update in _made_updates():
                payload, _ = codec.encode(update)
                codec.decode(memoryview(payload), _SHAPES)
        except (CodecError, FrameError) as error:
            raise UsageError(f"codec {text!r} cannot work: {error}") from error


def _ways(links: tuple[Call, ...]) -> Iterator[tuple[Call, ...]]:
    """Yield the chains without choosers that a chain comes to: one for each codec to choose."""
    *front, last = links
    codecs = [one for one in last.arguments if last.name not in CODERS and _is_codec(one)]
    if not codecs:
        yield links
    for one in codecs:
        yield from _ways((*front, *one.links))


def _is_codec(argument: Call) -> bool:
    """Tell a codec among a chooser's arguments from a number or an option."""
    name = argument.links[0].name
    return name[0].isalpha() and " " not in name


def _made_updates() -> Iterator[Parameters]:
    """Yield an update with many zeros and far outliers, as real ones have, and one of outliers."""
    chance = np.random.default_rng(0)
    for least in (0.01, 500.0):
        drawn = [chance.normal(size=shape) ** 5 for shape in _SHAPES]
        yield {
            f"{place}": np.where(np.abs(one) < least, 0, one).astype(np.float32)
            for place, one in enumerate(drawn)
        }
