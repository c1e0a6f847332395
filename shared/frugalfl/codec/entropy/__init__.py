"""The entropy coder of model updates: integer matrices, mostly zeros, to few bytes and back.

Two models share a frame: `scatter` for tensors with few nonzeros (adaptive, nothing sent but the
symbols) and `dense` for those with many (class tables and numpy-vectorised rANS lanes). The format
is described in docs/range-coder.md; `tests/plain_decoder.py` decodes it in plain Python.
"""

from .coded_tensors import decode_nonzeros, decode_tensors, encode_tensors, ideal_bits
from .thresholds import SharedThresholds, mix

__all__ = [
    "SharedThresholds",
    "decode_nonzeros",
    "decode_tensors",
    "encode_tensors",
    "ideal_bits",
    "mix",
]
