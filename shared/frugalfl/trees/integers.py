"""Signed whole numbers as bytes: folded, split into planes, Zstandard."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from frugalfl.codec.buffer import Reader, varint
from frugalfl.errors import FrameError
from frugalfl.trees.sealed import compressed, expanded

Int64s = npt.NDArray[np.int64]
_MAX_PLANES = 7


def packed_integers(values: Int64s) -> bytes:
    """Return signed numbers as compressed byte planes, the lowest bytes first."""
    folds = folded(values).ravel()
    planes = (int(folds.max(initial=0)).bit_length() + 7) // 8
    raw = folds.astype("<u8").view(np.uint8).reshape(-1, 8).T[:planes].tobytes()
    packed = compressed(raw)
    return bytes([planes]) + varint(len(packed)) + packed


def unpacked_integers(reader: Reader, count: int) -> Int64s:
    """Read so many numbers that :func:`packed_integers` wrote.

    Raises:
        FrameError: The bytes are not these.
    """
    planes = reader.byte()
    if planes > _MAX_PLANES:
        raise FrameError(f"whole numbers are of {planes} B, at most {_MAX_PLANES} are")
    packed = reader.bytes(reader.varint(2 * planes * count + 1024))
    bytes_ = np.zeros((count, 8), np.uint8)
    raw = np.frombuffer(expanded(packed, planes * count), np.uint8)
    bytes_[:, :planes] = raw.reshape(planes, count).T
    return unfolded(bytes_.view("<u8").ravel().astype(np.int64))


def folded(values: Int64s) -> Int64s:
    """Return signed numbers as unsigned ones: 0, -1, 1, -2 become 0, 1, 2, 3."""
    folds: Int64s = values << 1 ^ values >> 63
    return folds


def unfolded(folds: Int64s) -> Int64s:
    """Return what :func:`folded` was given."""
    signed: Int64s = folds >> 1 ^ -(folds & 1)
    return signed
