"""Hashes with a key, the same on every branch that has the same salt.

Two kinds. ``digests`` (BLAKE2b, RFC 7693) is for identifiers that others will see: without the salt
it cannot be inverted by trying all terminals. ``mixed`` is for choices among rows on one branch: a
few integer operations a row (the finalizer of SplitMix64, Steele et al. 2014), no secrecy.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]


def digests(values: Iterable[int | str], salt: str, purpose: str) -> Hashes:
    """Hash identifiers, one by one: give each distinct one once.

    Args:
        values: Integers or texts; 7 and "7" hash alike, since files differ in how they keep them.
        salt: Key that all branches share, up to 64 bytes of UTF-8.
        purpose: Separates uses of one salt: hashes of different purposes are unrelated.

    Returns:
        64 bits for each, uint64.
    """
    key, person = salt.encode(), purpose.encode()
    raw = b"".join(
        blake2b(str(value).encode(), digest_size=8, key=key, person=person).digest()
        for value in values
    )
    return np.frombuffer(raw, "<u8").astype(np.uint64)


def mixed(columns: Iterable[npt.NDArray[Any]], salt: str) -> Hashes:
    """Hash rows: one value for each row of columns of 8-byte numbers, shape ``(n,)`` each."""
    state = digests([0], salt, "rows")
    with np.errstate(over="ignore"):
        for column in columns:
            bits = np.ascontiguousarray(column).view(np.uint64)
            state = (state ^ bits) + np.uint64(0x9E3779B97F4A7C15)
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state = state ^ (state >> np.uint64(31))
    return state


def fraction(hashes: Hashes) -> npt.NDArray[np.float64]:
    """Turn hashes into numbers in [0, 1)."""
    return (hashes >> np.uint64(11)).astype(np.float64) / 2.0**53
