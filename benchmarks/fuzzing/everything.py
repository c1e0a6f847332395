"""All decoders, and how many inputs each gets."""

from __future__ import annotations

from collections.abc import Iterator

from fuzzing import files, frames, messages, network, texts, trees
from fuzzing.decoder import Decoder


def every_decoder(inputs: int) -> Iterator[tuple[Decoder, int]]:
    """Yield each decoder with its share of so many inputs, by weight, at least one."""
    found = [
        decoder
        for module in (frames, trees, messages, texts, files, network)
        for decoder in module.decoders()
    ]
    whole = sum(decoder.weight for decoder in found)
    for decoder in found:
        yield decoder, max(-int(-inputs * decoder.weight // whole), 1)
