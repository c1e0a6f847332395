"""The steps in which the core encodes dense tensors: `shared/core/dense_encode.c`.

Between them the caller chooses classes and levels: `frugalfl.codec.entropy.native_dense`.
"""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import Structure, byref, c_int, c_size_t, c_uint32, c_uint64, c_void_p
from functools import cache

import numpy as np
from numpy.typing import NDArray

from frugalfl.errors import CodecError

from .grid import Shapes, Tensors, Words
from .library import function
from .memory import Room, address
from .range import Nonzeros

Bytes = NDArray[np.uint8]
Counts = NDArray[np.uint32]
_PASSES = 128  # of a tensor, at most
_MOST_LANES = 1 << 11
_room = Room()


class _Lines(Structure):
    _fields_ = tuple(
        (name, c_void_p)
        for name in ("by_row", "by_col", "minus", "row_class", "col_class", "sign_class")
    )


class _Levels(Structure):
    _fields_ = (("trees", c_void_p), ("pairs", c_void_p), ("more", c_void_p))


class _Decisions(Structure):
    _fields_ = (
        ("codes", c_void_p),
        ("ends", c_void_p),
        ("raw", c_void_p),
        ("live", c_void_p),
        ("count", c_uint64),
        ("passes", c_uint64),
        ("raws", c_uint64),
    )


class Survey:
    """A tensor's nonzeros, and what is known of its lines.

    Args:
        flat: The tensor.
        shape: Its rows and columns.
        nonzeros: How many it has.

    Attributes:
        by_row: uint32, the nonzeros of each row.
        by_col: uint32, the nonzeros of each column.
        minus: uint32, the negative ones of each row.
    """

    def __init__(self, flat: NDArray[np.int32], shape: tuple[int, int], nonzeros: int) -> None:
        self.shape, self.nonzeros = shape, nonzeros
        rows, cols = shape
        self.by_row, self.minus = np.empty((2, rows), np.uint32)
        self.by_col = np.empty(cols, np.uint32)
        self._columns = np.empty(nonzeros + 1, np.uint32)
        self._values = np.empty(nonzeros + 1, np.int32)
        self.found = Nonzeros(address(self._columns), address(self._values), nonzeros + 1, nonzeros)
        self.lines = _Lines(address(self.by_row), address(self.by_col), address(self.minus))
        _functions().survey(address(flat), rows, cols, byref(self.lines), byref(self.found))

    def classify(self, row_class: Bytes, col_class: Bytes, sign_class: Bytes) -> Counts:
        """Set the classes of rows, of columns and of the signs of rows that are not empty.

        Returns:
            The nonzeros by row class << 4 | column class.
        """
        signs = np.zeros(row_class.size, np.uint8)
        signs[row_class != 0] = sign_class
        self._classes = (row_class, col_class, signs)
        self.lines.row_class, self.lines.col_class, self.lines.sign_class = map(
            address, self._classes
        )
        ones = np.empty(256, np.uint32)
        _functions().pairs(self.shape[0], byref(self.lines), address(self._columns), address(ones))
        return ones

    def count_sizes(self, pairs: Bytes) -> tuple[Counts, Counts, int]:
        """Count sizes, given the level of each pair of classes.

        Returns:
            The nonzeros by bucket and size, shape (16, 16), 15 for all above 14; the latter by
            exponent, shape (32,); how many decisions sizes take at most.
        """
        sizes, exponents = np.empty((16, 16), np.uint32), np.empty(32, np.uint32)
        decisions = _functions().sizes(
            self.shape[0], byref(self.lines), byref(self.found), address(pairs), address(sizes),
            address(exponents),
        )  # fmt: skip
        return sizes, exponents, decisions

    @property
    def spare(self) -> int:
        """Bytes that coding needs besides."""
        return max(self.nonzeros, self.shape[0], 16 * self.shape[1]) + 1


class Frame:
    """Encodes a frame with dense tensors.

    Args:
        dense: Which tensors are.
        decisions: How many decisions the dense tensors take at most.
        surveys: Of the dense tensors.
        scattered: How many nonzeros the other tensors have.
    """

    def __init__(
        self, dense: Sequence[bool], decisions: int, surveys: Sequence[Survey], scattered: int
    ) -> None:
        self._state = np.empty(_functions().frame_room(), np.uint8)
        self._dense, self._scattered = np.array(dense, np.uint8), scattered
        self._out = np.empty(4096 + len(dense) + 4096 * len(surveys) + 16 * scattered, np.uint8)
        _check(
            _functions().start(
                address(self._state), address(self._dense), len(dense), address(self._out),
                self._out.size,
            )
        )  # fmt: skip
        self._codes = np.empty(decisions, np.uint8)
        self._raw = np.empty(sum(survey.nonzeros for survey in surveys), np.uint8)
        self._ends = np.empty(_PASSES * len(surveys), np.uint64)
        self._live = np.empty(max(survey.shape[1] for survey in surveys), np.uint32)
        self._spare = np.empty(max(survey.spare for survey in surveys), np.uint8)
        self._decisions = _Decisions(
            address(self._codes), address(self._ends), address(self._raw), address(self._live)
        )

    def code(self, survey: Survey, trees: Bytes, pairs: Bytes, more: Bytes) -> None:
        """Code the next dense tensor with these levels."""
        levels = _Levels(*map(address, (trees, pairs, more)))
        _check(
            _functions().code(
                address(self._state), *survey.shape, byref(survey.lines), byref(survey.found),
                byref(levels), byref(self._decisions), address(self._spare),
            )
        )  # fmt: skip

    def finish(
        self, flats: Sequence[NDArray[np.int32]], shapes: Shapes, words: int | Words | None
    ) -> bytes:
        """Code the other tensors; return the scalar stream."""
        tensors = Tensors(shapes, words)
        pointers = (c_void_p * len(flats))(*map(address, flats))
        written = c_size_t()
        dense = address(self._dense)
        size = _functions().encode_room(tensors.reference, dense, None, self._scattered)
        memory, held = _room.of(size)
        _check(
            _functions().finish(
                address(self._state), tensors.reference, dense, pointers, self._scattered,
                byref(written), memory, held.size,
            )
        )  # fmt: skip
        return self._out[1 : written.value].tobytes()

    def sample(self) -> tuple[Counts, int]:
        """Count the codes of every eighth decision; and all equally likely bits."""
        counts = np.empty(256, np.uint32)
        _functions().sample(byref(self._decisions), address(counts))
        return counts, self._decisions.raws

    def lanes(self, log_lanes: int) -> bytes:
        """Return the lanes' words."""
        room = np.empty(_functions().lanes_room(), np.uint8)
        # A decision takes 12 bits at most.
        most = 3 * self._decisions.count // 2 + self._decisions.raws // 8 + 4 * _MOST_LANES + 16
        out, written = np.empty(most, np.uint8), c_size_t()
        _check(
            _functions().write(
                byref(self._decisions), log_lanes, address(out), out.size, byref(written),
                address(room),
            )
        )  # fmt: skip
        return out[: written.value].tobytes()


def _check(status: int) -> None:
    if status:
        raise CodecError(f"the native core cannot encode the tensors ({status})")


class _Functions:
    def __init__(self) -> None:
        pointer, size, number = c_void_p, c_size_t, c_uint32
        self.frame_room = function("fc_dense_frame_room", size)
        self.start = function("fc_dense_start", c_int, pointer, pointer, number, pointer, size)
        self.survey = function("fc_dense_survey", number, pointer, number, number, pointer, pointer)
        self.pairs = function("fc_dense_pairs", None, number, pointer, pointer, pointer)
        self.sizes = function(
            "fc_dense_sizes", c_uint64, number, pointer, pointer, pointer, pointer, pointer
        )
        self.code = function(
            "fc_dense_code", c_int, pointer, number, number, pointer, pointer, pointer, pointer,
            pointer,
        )  # fmt: skip
        self.encode_room = function("fc_encode_room", size, pointer, pointer, pointer, number)
        self.finish = function(
            "fc_dense_finish", c_int, pointer, pointer, pointer, pointer, number, pointer,
            pointer, size,
        )  # fmt: skip
        self.sample = function("fc_lanes_sample", None, pointer, pointer)
        self.lanes_room = function("fc_lanes_room", size)
        self.write = function(
            "fc_lanes_write", c_int, pointer, number, pointer, size, pointer, pointer
        )


_functions = cache(_Functions)
