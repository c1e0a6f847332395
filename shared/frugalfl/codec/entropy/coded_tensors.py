"""Tensors of integers to bytes and back: which are dense, and how two streams share a frame.

A frame is one flag byte, the range-coded scalar stream, and (if a tensor is dense) the lane
words, which are read from the end backwards, so that neither stream needs a length. A frame of
zeros only has no bytes at all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import accumulate
from math import prod

import numpy as np
from numpy.typing import NDArray

from frugalfl.errors import CodecError, FrameError
from frugalfl.native import core
from frugalfl.native import range as native

from . import native_dense
from .dense import DenseCoder
from .lanes import MAX_LOG_LANES, LaneDecoder, LaneEncoder, least_log_lanes
from .rangecoder import BitCounter, Decoder, Encoder, SymbolCoder, fresh
from .row_frames import BY_ROWS, count_rows, decode_rows, encode_rows, nonzeros_of
from .scales import Scales
from .scatter import MAX_HITS, Hit, code_scattered
from .thresholds import SharedThresholds
from .walk import decode_scattered, encode_scattered

Symbols = NDArray[np.integer]
Thresholds = NDArray[np.uint32]
Shape = tuple[int, int]
Nonzeros = tuple[NDArray[np.int64], NDArray[np.int32]]  # flat places, rising; values

MAX_CELLS = 1 << 31
HINTED = 0x80
LANED = 0x40
# The scattered coder spends fewer bytes, the lanes less time: about 3 µs for each nonzero.
LANES_FROM = 6000  # nonzeros in a frame without thresholds, from which it has lanes at all
DENSE_FROM = 300  # nonzeros in a tensor from which it is dense in a frame with lanes
_NONE: Nonzeros = (np.zeros(0, np.int64), np.zeros(0, np.int32))


def encode_tensors(
    tensors: Sequence[Symbols],
    thresholds: Sequence[Thresholds] | None = None,
    by_rows: bool = False,
) -> bytes:
    """Encode integer matrices as one frame.

    Args:
        tensors: 2-D arrays of integers that fit in int32; mostly zeros pays most.
        thresholds: the uint32 rounding thresholds that made them, one array for each tensor, if
            the decoder will know them too.
        by_rows: code the nonzeros row by row, if there are no thresholds and few enough of them.

    Raises:
        CodecError: an array is not 2-D, not of integers, or holds a value beyond int32.
    """
    flats = [_check(tensor) for tensor in tensors]
    if sum(flat.size for flat in flats) >= MAX_CELLS:
        raise CodecError(f"more than {MAX_CELLS} cells in one frame: encode it in parts")
    counts = _counts(flats)
    if not any(counts):
        return b""
    shapes = [(int(tensor.shape[0]), int(tensor.shape[1])) for tensor in tensors]
    if by_rows and thresholds is None and (nonzeros := nonzeros_of(flats)) is not None:
        return encode_rows(shapes, nonzeros)
    dense = _choose_dense(counts, sum(flat.size for flat in flats), thresholds is not None)
    if core() is not None:
        frame = _encode_natively(flats, counts, tuple(shapes), thresholds, dense)
        if frame is not None:
            return frame
    scalar, lanes = Encoder(), LaneEncoder()
    _code_known(scalar, lanes, flats, shapes, thresholds, dense)
    flags = HINTED if thresholds is not None else 0
    if not any(dense):
        return bytes([flags]) + scalar.finish()
    log_lanes, words = lanes.finish(least_log_lanes(_dense_cells(shapes, dense)))
    return bytes([flags | LANED | log_lanes]) + scalar.finish() + words


def decode_tensors(
    data: bytes | bytearray | memoryview,
    shapes: Sequence[Shape],
    thresholds: Sequence[Thresholds] | None = None,
) -> list[NDArray[np.int32]]:
    """Decode a frame; memory and time are bounded by the shapes, whatever the bytes are.

    Args:
        data: the frame.
        shapes: rows and columns of each tensor.
        thresholds: as given to the encoder.

    Raises:
        FrameError: the bytes are not a frame of these shapes.
    """
    tensors: list[NDArray[np.int32]] = []
    if _is_by_rows(data, thresholds is not None):
        return _filled(decode_rows(bytes(data), shapes), shapes)
    if _natively(data, shapes, thresholds):
        return native.decode_tensors(bytes(data), tuple(shapes), _words(thresholds))
    nonzeros = _decode(bytes(data), shapes, thresholds)
    for rows, cols in shapes:
        places, values = nonzeros.popleft()  # and so dropped: they may be larger than the tensor
        flat = np.zeros(rows * cols, np.int32)
        flat[places] = values
        tensors.append(flat.reshape(rows, cols))
    return tensors


def decode_nonzeros(
    data: bytes | bytearray | memoryview,
    shapes: Sequence[Shape],
    thresholds: Sequence[Thresholds] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Decode a frame as far as its nonzeros.

    Args:
        data: as for `decode_tensors`.
        shapes: as for `decode_tensors`.
        thresholds: as for `decode_tensors`.

    Returns:
        The flat places of the nonzeros, rising, counted through all tensors; and their values.

    Raises:
        FrameError: the bytes are not a frame of these shapes.
    """
    if _is_by_rows(data, thresholds is not None):
        return decode_rows(bytes(data), shapes)
    if _natively(data, shapes, thresholds):
        return native.nonzeros_of(bytes(data), tuple(shapes), _words(thresholds))
    nonzeros = _decode(bytes(data), shapes, thresholds)
    starts = accumulate((rows * cols for rows, cols in shapes), initial=0)
    places = [found + start for (found, _), start in zip(nonzeros, starts, strict=False)]
    return (
        np.concatenate([np.zeros(0, np.int64), *places]),
        np.concatenate([np.zeros(0, np.int32), *(values for _, values in nonzeros)]),
    )


def _is_by_rows(data: bytes | bytearray | memoryview, hinted: bool) -> bool:
    """Whether a frame's nonzeros are coded row by row."""
    return len(data) > 0 and _check_flags(data[0], hinted) == BY_ROWS


def _filled(nonzeros: Nonzeros, shapes: Sequence[Shape]) -> list[NDArray[np.int32]]:
    """Return tensors, which share one array."""
    ends = list(accumulate(rows * cols for rows, cols in shapes))
    flat = np.zeros(ends[-1] if ends else 0, np.int32)
    flat[nonzeros[0]] = nonzeros[1]
    return [
        flat[end - rows * cols : end].reshape(rows, cols)
        for (rows, cols), end in zip(shapes, ends, strict=True)
    ]


def _natively(
    data: bytes | bytearray | memoryview,
    shapes: Sequence[Shape],
    thresholds: Sequence[Thresholds] | None,
) -> bool:
    """Whether the native core decodes a frame, whose flags are then as they should be."""
    if not data or core() is None or sum(rows * cols for rows, cols in shapes) >= MAX_CELLS:
        return False
    _check_flags(data[0], thresholds is not None)
    return True


def _encode_natively(
    flats: Sequence[NDArray[np.int32]],
    counts: Sequence[int],
    shapes: tuple[Shape, ...],
    thresholds: Sequence[Thresholds] | None,
    dense: Sequence[bool],
) -> bytes | None:
    if any(dense):
        least = least_log_lanes(_dense_cells(shapes, dense))
        return native_dense.encode(flats, counts, shapes, _words(thresholds), dense, least)
    return native.encode_scattered(flats, shapes, _words(thresholds), sum(counts))


def _words(thresholds: Sequence[Thresholds] | None) -> int | Sequence[Thresholds] | None:
    """What the native core is given of thresholds: their seed will do."""
    return thresholds.seed if isinstance(thresholds, SharedThresholds) else thresholds


def _decode(
    data: bytes, shapes: Sequence[Shape], thresholds: Sequence[Thresholds] | None
) -> deque[Nonzeros]:
    """The nonzeros of each tensor."""
    if not data:
        return deque([_NONE] * len(shapes))
    found: dict[int, Nonzeros] = {}
    flags = _check_flags(data[0], thresholds is not None)
    scalar = Decoder(data, 1)
    lanes_bytes = 0
    dense = [False] * len(shapes)
    if flags & LANED:
        lanes = LaneDecoder(data, 1, flags & 0x0F)
        dense = code_map(scalar, dense)
        if any(yes and not prod(shape) for yes, shape in zip(dense, shapes, strict=True)):
            raise FrameError("a tensor without entries is said to be dense: corrupt frame")
        if flags & 0x0F < least_log_lanes(_dense_cells(shapes, dense)):
            raise FrameError("too few lanes for so many cells: the bytes are corrupt")
        found |= _decode_dense(scalar, lanes, shapes, dense)
        lanes_bytes = lanes.used_bytes
    if not all(dense):
        found |= _decode_scattered(scalar, shapes, thresholds, dense)
    if not -4 <= scalar.spare_bytes() - lanes_bytes <= 0:
        raise FrameError("bytes are left over, or were read twice: corrupt frame")
    return deque(found[index] for index in range(len(shapes)))


def ideal_bits(
    tensors: Sequence[Symbols],
    thresholds: Sequence[Thresholds] | None = None,
    by_rows: bool = False,
) -> float:
    """The cost of every decision under the coder's own model, side information included."""
    flats = [_check(tensor) for tensor in tensors]
    counts = _counts(flats)
    if not any(counts):
        return 0.0
    shapes = [(int(tensor.shape[0]), int(tensor.shape[1])) for tensor in tensors]
    if by_rows and thresholds is None and (nonzeros := nonzeros_of(flats)) is not None:
        return count_rows(shapes, nonzeros)
    scalar, lanes = BitCounter(), LaneEncoder()
    dense = _choose_dense(counts, sum(flat.size for flat in flats), thresholds is not None)
    _code_known(scalar, lanes, flats, shapes, thresholds, dense)
    return scalar.bits + lanes.cost()


def code_map(coder: SymbolCoder, dense: Sequence[bool]) -> list[bool]:
    """Code which tensors are dense."""
    counts = fresh(1)
    return [bool(coder.bit(counts, 0, int(value))) for value in dense]


def _check(tensor: Symbols) -> NDArray[np.int32]:
    if tensor.ndim != 2 or not np.issubdtype(tensor.dtype, np.integer):
        raise CodecError(
            f"the entropy coder takes 2-D integer arrays, not {tensor.ndim}-D {tensor.dtype}"
        )
    flat = tensor.ravel()
    if tensor.dtype == np.int32:  # as all transforms give it: nothing can be beyond
        return flat.astype(np.int32, copy=False)
    if flat.size and (int(flat.max()) > 0x7FFFFFFF or int(flat.min()) < -0x80000000):
        raise CodecError("a symbol is beyond int32: use a coarser quantisation step")
    return flat.astype(np.int32)


def _check_flags(flags: int, hinted: bool) -> int:
    lanes = flags & 0x0F
    if flags != BY_ROWS and (flags & 0x30 or lanes > (MAX_LOG_LANES if flags & LANED else 0)):
        raise FrameError(f"flag byte 0x{flags:02x} is not one of this format")
    if bool(flags & HINTED) != hinted:
        need = "needs" if flags & HINTED else "was made without"
        raise FrameError(f"the frame {need} rounding thresholds")
    return flags


def _dense_cells(shapes: Sequence[Shape], dense: Sequence[bool]) -> int:
    return sum(rows * cols for (rows, cols), yes in zip(shapes, dense, strict=True) if yes)


def _counts(flats: Sequence[NDArray[np.int32]]) -> list[int]:
    """How many nonzeros each tensor has."""
    return [int(np.count_nonzero(flat)) for flat in flats]


def _choose_dense(counts: Sequence[int], cells: int, hinted: bool) -> list[bool]:
    # Only the scattered coder makes use of thresholds, so it keeps all that it can.
    laned = sum(counts) >= (MAX_HITS if hinted else max(LANES_FROM, cells >> 6))
    dense = [laned and count >= max(DENSE_FROM, 1) for count in counts]
    scattered = sum(count for count, skip in zip(counts, dense, strict=True) if not skip)
    for index in sorted(range(len(counts)), key=counts.__getitem__, reverse=True):
        if scattered > MAX_HITS and not dense[index]:
            dense[index] = True
            scattered -= counts[index]
    return dense


def _code_known(
    scalar: Encoder | BitCounter,
    lanes: LaneEncoder,
    flats: Sequence[NDArray[np.int32]],
    shapes: Sequence[Shape],
    thresholds: Sequence[Thresholds] | None,
    dense: Sequence[bool],
) -> None:
    if any(dense):
        code_map(scalar, dense)
        coder = DenseCoder(scalar, lanes)
        for flat, shape, chosen in zip(flats, shapes, dense, strict=True):
            if chosen:
                coder.code(*shape, flat)
    if not all(dense):
        rest = [index for index, chosen in enumerate(dense) if not chosen]
        model = _scales(shapes, thresholds, rest)
        hits = _hits(model, np.concatenate([flats[i] for i in rest]))
        if isinstance(scalar, Encoder):
            encode_scattered(scalar, model, hits)
        else:
            deque(code_scattered(scalar, model, [list(map(Hit, *hit)) for hit in hits]), maxlen=0)


def _hits(model: Scales, flat: NDArray[np.int32]) -> list[tuple[list[int], list[int]]]:
    """For each round the places of the nonzeros, and their values."""
    cells = (flat != 0).take(model.order).nonzero()[0]
    values = flat.take(model.order.take(cells)).tolist()
    edges = [0, *cells.searchsorted(model.ends).tolist()]
    return [
        ((cells[a:b] - first).tolist(), values[a:b])
        for a, b, first in zip(edges, edges[1:], [0, *model.ends], strict=False)
    ]


def _scales(
    shapes: Sequence[Shape], thresholds: Sequence[Thresholds] | None, which: Sequence[int]
) -> Scales:
    # One by one: thresholds may be drawn only now.
    hints = None if thresholds is None else (thresholds[index] for index in which)
    return Scales([shapes[index] for index in which], hints)


def _decode_dense(
    scalar: Decoder, lanes: LaneDecoder, shapes: Sequence[Shape], dense: Sequence[bool]
) -> dict[int, Nonzeros]:
    coder = DenseCoder(scalar, lanes)
    tensors = {index: coder.code(*shapes[index], None) for index, yes in enumerate(dense) if yes}
    signs = lanes.finish()
    found = {}
    at = 0
    for index, tensor in tensors.items():
        found[index] = tensor.places, tensor.values(signs[at : at + tensor.raw.size])
        at += tensor.raw.size
    return found


def _decode_scattered(
    scalar: Decoder,
    shapes: Sequence[Shape],
    thresholds: Sequence[Thresholds] | None,
    dense: Sequence[bool],
) -> dict[int, Nonzeros]:
    rest = [index for index, chosen in enumerate(dense) if not chosen]
    model = _scales(shapes, thresholds, rest)
    cells, values = [], []
    for index, (places, symbols) in enumerate(decode_scattered(scalar, model)):
        start, stop = model.bounds(index)
        cells.append(model.order[start:stop].take(places))
        values.append(np.array(symbols, np.int32))
    joined, symbol = np.concatenate(cells), np.concatenate(values)
    rising = joined.argsort()
    joined, symbol = joined.take(rising), symbol.take(rising)
    starts = np.cumsum([0, *(rows * cols for rows, cols in (shapes[index] for index in rest))])
    edges = joined.searchsorted(starts).tolist()
    return {
        index: (joined[a:b] - start, symbol[a:b])
        for index, a, b, start in zip(rest, edges, edges[1:], starts, strict=False)
    }
