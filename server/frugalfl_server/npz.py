"""NPZ archives from a disk that may have failed: read whole and checked, or refused."""

from __future__ import annotations

import io
import zipfile
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

#: Bytes of a header of one array, at most; NumPy's own are below 200.
_HEADER_BYTES = 10_000


def read_npz(data: bytes) -> dict[str, npt.NDArray[Any]]:
    """Read the arrays of an NPZ archive that was written without compression.

    Every entry has a CRC-32, which is compared. No entry takes more memory than its bytes: a
    header that speaks of a larger array is refused before memory is taken.

    Raises:
        ValueError: It is damaged.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            found = {one.filename: _array(archive, one, len(data)) for one in archive.infolist()}
    except Exception as error:  # zipfile, zlib and NumPy raise whatever they trip over
        raise ValueError(" ".join(str(error).split())[:100] or type(error).__name__) from error
    return {name.removesuffix(".npy"): array for name, array in found.items()}


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, length: int) -> npt.NDArray[Any]:
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > length:
        raise ValueError(f"its entry {entry.filename!r:.40} is not as it was written")
    content = archive.read(entry)
    header = io.BytesIO(content)
    if np.lib.format.read_magic(header) != (1, 0):
        raise ValueError(f"its entry {entry.filename!r:.40} is no array")
    shape, _, kind = np.lib.format.read_array_header_1_0(header, max_header_size=_HEADER_BYTES)
    if prod(shape) * kind.itemsize != len(content) - header.tell():
        raise ValueError(f"its entry {entry.filename!r:.40} has another length than it says")
    array: npt.NDArray[Any] = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    return array
