"""Arrays that another machine or another person wrote: bounded, and never code.

An archive says itself how large its entries are and what shape each array has, and it may lie: a
few kilobytes that unpack to gigabytes, a shape that no memory holds, a pickled object that runs a
program when it is read. So sizes and shapes are checked against what is really there before memory
is taken, and nothing is unpickled.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from frugalfl.foreign import MOST_BYTES, check_archive, open_regular

Array = npt.NDArray[Any]


def read_arrays(path: Path, most: int = MOST_BYTES) -> dict[str, Array]:
    """Return the arrays of an ``.npz`` file, none of them unpickled.

    Raises:
        OSError: It cannot be read.
        ValueError: As :func:`arrays_in`.
    """
    with open_regular(path) as file:
        return arrays_in(file, most)


def arrays_in(file: BinaryIO, most: int = MOST_BYTES) -> dict[str, Array]:
    """Return the arrays of an ``.npz`` archive, none of them unpickled.

    Args:
        file: The archive, open.
        most: Most bytes that they may take together.

    Raises:
        ValueError: It is no archive of plain arrays, it is damaged, or beyond the bounds.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            check_archive(entries, most)
            return {
                entry.filename.removesuffix(".npy"): _array(archive, entry) for entry in entries
            }
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"it is no archive of arrays, or damaged: {error}") from error
    except Exception as error:  # zlib, struct and NumPy raise whatever they trip over
        if isinstance(error, ValueError):
            raise
        raise ValueError(f"it is damaged: {error}") from error


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Array:
    """Read one array whose header tells no more than there is."""
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        elif version == (2, 0):
            shape, _, dtype = np.lib.format.read_array_header_2_0(file)
        else:
            raise ValueError(f"{entry.filename!r:.60} has the format {version}")
        there = entry.file_size - file.tell()
    if dtype.hasobject or any(side < 0 for side in shape):
        raise ValueError(f"{entry.filename!r:.60} holds Python objects, not numbers")
    if math.prod(shape) * dtype.itemsize != there:
        raise ValueError(f"{entry.filename!r:.60} has the shape {shape} and {there:,} B")
    with archive.open(entry) as file:
        array: Array = np.lib.format.read_array(file, allow_pickle=False)
    return array
