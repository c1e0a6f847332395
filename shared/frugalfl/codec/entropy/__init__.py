"""The entropy coder of model updates: integer matrices, mostly zeros, to few bytes and back.

Two models share a frame: `scatter` for tensors with few nonzeros (adaptive, nothing sent but the
symbols) and `dense` for those with many (class tables and numpy-vectorised rANS lanes). `plain`
decodes the same bytes without numpy. The format is described in docs/range-coder.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .frame import decode_nonzeros, decode_tensors, encode_tensors, ideal_bits
from .thresholds import mix

__all__ = [
    "decode_nonzeros",
    "decode_symbols",
    "decode_tensors",
    "encode_symbols",
    "encode_tensors",
    "ideal_bits",
    "ideal_bytes",
    "mix",
]


def encode_symbols(q: NDArray[np.integer]) -> bytes:
    """Encode one matrix of integers.

    Args:
        q: int32 or int64, shape (rows, cols), values within int32.

    Raises:
        CodecError: wrong shape or dtype, or a value beyond int32.

    >>> encode_symbols(np.zeros((3, 4), np.int32))
    b''
    """
    return encode_tensors([q])


def decode_symbols(data: bytes | memoryview, rows: int, cols: int) -> NDArray[np.int32]:
    """Decode one matrix of integers.

    Args:
        data: what `encode_symbols` returned.
        rows: number of rows.
        cols: number of columns.

    Raises:
        FrameError: the bytes are not a frame of this shape.

    >>> decode_symbols(encode_symbols(np.array([[0, -3]])), 1, 2)
    array([[ 0, -3]], dtype=int32)
    """
    return decode_tensors(data, [(rows, cols)])[0]


def ideal_bytes(q: NDArray[np.integer]) -> float:
    """The empirical entropy of a matrix under the coder's own model, in bytes."""
    return ideal_bits([q]) / 8
