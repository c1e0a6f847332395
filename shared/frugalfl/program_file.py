"""A training program as it travels and lies on a device's disk: compressed, named by its digest."""

from __future__ import annotations

import hashlib

import zstandard

from frugalfl.errors import ProgramError
from frugalfl.program import MAX_BYTES, Program, from_bytes, to_bytes

_LEVEL = 19


def pack(program: Program) -> bytes:
    """Return the file: the serialised program, zstandard; about a fifth of its size."""
    return zstandard.ZstdCompressor(level=_LEVEL).compress(to_bytes(program))


def digest_of(file: bytes) -> str:
    """Return the name of a file: its SHA-256 as hexadecimal digits."""
    return hashlib.sha256(file).hexdigest()


def unpack(file: bytes, digest: str) -> Program:
    """Read a file, once it is known to be the one that was announced.

    Args:
        file: From :func:`pack`.
        digest: What :func:`digest_of` must say of it.

    Raises:
        ProgramError: Truncated, altered, or beyond the bounds.
    """
    if digest_of(file) != digest:
        raise ProgramError(
            f"the training program ({len(file)} B) is not the one that was announced: it is "
            "truncated or altered; it is sent again"
        )
    try:
        size = zstandard.frame_content_size(file)
        if not 0 < size <= MAX_BYTES:
            raise ProgramError(f"a training program of {size} B; at most {MAX_BYTES} B are read")
        return from_bytes(zstandard.ZstdDecompressor().decompress(file))
    except zstandard.ZstdError as error:
        raise ProgramError(f"the training program cannot be unpacked: {error}") from error
