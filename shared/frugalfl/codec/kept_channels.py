"""Lists of kept channels to a few bytes and back.

Few of the lists are their own: a layer's bias keeps what its weights keep on their first axis, and
the next layer reads just that, each channel as so many neighbours where an image was flattened in
between. So an axis says whether it stays whole, has the same list as one before, or a new one; a
new list is one decision an index. All that goes through the adaptive range coder, one function for
both directions (docs/wire-format.md has the format).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from frugalfl.blocks import Layout
from frugalfl.codec.entropy.rangecoder import DECISIONS, Decoder, Encoder, SymbolCoder, fresh
from frugalfl.errors import FrameError
from frugalfl.kept import Indices, Kept

_Stays = npt.NDArray[np.bool_]
#: What an axis says; from the last one on it names a list, the newest that fits first.
_WHOLE, _NEW, _AS_BEFORE = range(3)
#: The first axis of a vector, of another tensor, its second axis and all others learn apart.
_CONTEXTS = 4


def write_kept(kept: Kept, layout: Layout) -> bytes:
    """Return the lists as bytes.

    Args:
        kept: For every tensor of the layout; each list rising, neither empty nor whole.
        layout: The model before it is cut.
    """
    encoder = Encoder()
    _Lists(encoder).code(layout, kept)
    return encoder.finish()


def read_kept(data: bytes, layout: Layout) -> Kept:
    """Return what :func:`write_kept` was given; time and memory are bounded by the layout.

    Raises:
        FrameError: The bytes are no lists for this layout.
    """
    decoder = Decoder(data)
    kept = _Lists(decoder).code(layout, None)
    if not -4 <= decoder.spare_bytes() <= 0:
        raise FrameError("the lists of kept channels are longer or shorter than their bytes")
    return kept


class _Lists:
    """Codes the lists of one model, and learns from each."""

    def __init__(self, coder: SymbolCoder) -> None:
        self._coder = coder
        self._choices = fresh(DECISIONS * _CONTEXTS)
        self._stay = fresh(1)
        self._known: list[_Stays] = []

    def code(self, layout: Layout, kept: Kept | None) -> Kept:
        """Code all lists in the order of the model; ``kept`` is None when decoding."""
        found: dict[str, tuple[Indices | None, ...]] = {}
        for block in layout.blocks:
            for name, shape in zip(block.tensors, block.shapes, strict=True):
                found[name] = tuple(
                    self._axis(
                        size,
                        min(axis + 1, _CONTEXTS - 1) if len(shape) > 1 else 0,
                        _stays(size, None if kept is None else kept[name][axis]),
                    )
                    for axis, size in enumerate(shape)
                )
        return found

    def _axis(self, size: int, context: int, wanted: _Stays) -> Indices | None:
        """Code one axis; ``wanted`` is ignored when decoding."""
        if size < 2:
            return None
        fitting = [stays for stays in reversed(self._known) if size % stays.size == 0]
        choice = self._coder.integer(self._choices, DECISIONS * context, _choice(wanted, fitting))
        if choice == _WHOLE:
            return None
        if choice == _NEW:
            stays = np.array(
                [self._coder.bit(self._stay, 0, int(stay)) for stay in wanted], np.bool_
            )
            if stays.all() or not stays.any():
                raise FrameError("a list of kept channels holds all or none: the bytes are corrupt")
            self._known.append(stays)
        elif choice - _AS_BEFORE < len(fitting):
            stays = _stretch(fitting[choice - _AS_BEFORE], size)
        else:
            raise FrameError(
                f"an axis of {size} names a list of kept channels that it cannot have: the bytes "
                "are corrupt"
            )
        return stays.nonzero()[0]


def _stays(size: int, indices: Indices | None) -> _Stays:
    stays = np.full(size, indices is None)
    stays[indices] = True
    return stays


def _choice(wanted: _Stays, fitting: list[_Stays]) -> int:
    if wanted.all():
        return _WHOLE
    for place, stays in enumerate(fitting):
        if np.array_equal(_stretch(stays, wanted.size), wanted):
            return _AS_BEFORE + place
    return _NEW


def _stretch(stays: _Stays, size: int) -> _Stays:
    """Return the list for an axis on which each channel has so many neighbours."""
    return stays.repeat(size // stays.size)
