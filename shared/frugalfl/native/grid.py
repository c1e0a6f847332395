"""The shapes and thresholds of a frame's tensors, as the core takes them; prepared cell orders."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from ctypes import Array, Structure, addressof, byref, c_int, c_size_t, c_uint32, c_void_p
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from frugalfl.errors import CodecError, FrameError

from .library import function
from .memory import address

Shape = tuple[int, int]
Shapes = tuple[Shape, ...]
#: So many bytes of prepared orders are kept at most.
ORDERS_BYTES = 8 << 20
_SPARE = 6 << 15


class _Shape(Structure):
    _fields_ = (("rows", c_uint32), ("cols", c_uint32))


class Grid(Structure):
    """``struct fc_grid``."""

    _fields_ = (
        ("shapes", c_void_p),
        ("words", c_void_p),
        ("tensors", c_uint32),
        ("seed", c_uint32),
        ("hinted", c_uint32),
        ("machine", c_uint32),
    )


Words = Sequence[NDArray[np.uint32]]


@lru_cache(maxsize=256)
def array_of(shapes: Shapes) -> Array[_Shape]:
    """Return shapes as the core takes them."""
    return (_Shape * len(shapes))(*(_Shape(*shape) for shape in shapes))


class Tensors:
    """The tensors of a frame, fewer than 2**31 cells.

    Args:
        shapes: Rows and columns of each.
        words: The rounding thresholds that both ends know: their seed, or one word a cell.

    Attributes:
        reference: To the grid, for the core; valid as long as this.
        order: Address of the prepared order of the cells, if there is one.
    """

    def __init__(self, shapes: Shapes, words: int | Words | None) -> None:
        self._array = array_of(shapes)
        self.grid = Grid(addressof(self._array), None, len(shapes), 0, words is not None, machine())
        if isinstance(words, int):
            self.grid.seed = words & 0xFFFFFFFF
        elif words is not None:
            self._words = _joined(words, shapes)
            self.grid.words = address(self._words)
        self.reference = byref(self.grid)
        self.order = None
        if words is None:
            self._order = _orders.of(shapes, self)
            self.order = address(self._order)


def _joined(words: Words, shapes: Shapes) -> NDArray[np.uint32]:
    """Return all words in one array, one more than there are cells."""
    joined = np.concatenate([*(part.ravel() for part in words), np.zeros(1, np.uint32)])
    if joined.size != 1 + sum(rows * cols for rows, cols in shapes):
        raise CodecError(f"{joined.size - 1} thresholds do not fit these shapes")
    return joined.astype(np.uint32, copy=False)


class _Orders:
    """Prepared orders of the cells, by shapes; the longest unused are dropped."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Shapes, NDArray[np.uint8]] = OrderedDict()
        self._lock = threading.Lock()
        self._bytes = 0

    @property
    def kept_bytes(self) -> int:
        """The memory (B) of all."""
        return self._bytes

    def of(self, shapes: Shapes, tensors: Tensors) -> NDArray[np.uint8]:
        """Return the memory that has the order, which must be held while it is used."""
        with self._lock:
            if (found := self._kept.get(shapes)) is not None:
                self._kept.move_to_end(shapes)
                return found
        order = _prepare(tensors)
        with self._lock:
            if shapes not in self._kept and order.nbytes <= ORDERS_BYTES:
                self._kept[shapes] = order
                self._bytes += order.nbytes
            while self._bytes > ORDERS_BYTES:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return order


def _prepare(tensors: Tensors) -> NDArray[np.uint8]:
    ask, prepare = _functions()
    order, spare = np.empty(ask(tensors.reference), np.uint8), np.empty(_SPARE, np.uint8)
    if prepare(tensors.reference, address(order), order.size, address(spare)):
        raise FrameError("the shapes are too large for one frame")
    return order


@cache
def _functions() -> tuple[Callable[..., int], Callable[..., int]]:
    return (
        function("fc_order_room", c_size_t, c_void_p),
        function("fc_order_prepare", c_int, c_void_p, c_void_p, c_size_t, c_void_p),
    )


def kept_bytes() -> int:
    """Return how much memory (B) the prepared orders take."""
    return _orders.kept_bytes


@cache
def machine() -> int:
    """Return what `fc_machine` says of the processor."""
    return function("fc_machine", c_uint32)()


_orders = _Orders()
