"""``seeded``: a freshly initialised model as its seed; ``seeded | raw`` is 5 B a tensor.

A new model is random numbers, and random numbers need not travel: both ends draw the same ones
from the frame's seed, with integers and single float32 operations that every machine rounds alike.

Side information, for each tensor: a kind byte and a float32. Kind 0: every entry is that value.
Kind 1: the entries are uniform in [-bound, bound): entry i of all tensors together has word w of
the frame's seed XOR 53454544, and is float16(bound * ((w >> 8) * 2**-23 - 1)).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from math import frexp, ldexp

import numpy as np
import numpy.typing as npt

from frugalfl.blocks import FloatArray, Parameters, Shape
from frugalfl.calls import Call, arity
from frugalfl.codec.buffer import Reader
from frugalfl.codec.links import Family, Tensor, Transform, shared_thresholds
from frugalfl.errors import CodecError, FrameError

_STREAM = 0x53454544
_SIDE = struct.Struct("<Bf")
_CONSTANT, _UNIFORM = 0, 1
_BOUND_BITS = 8


class Seeded(Transform):
    """Carries only what :func:`draw_again` made from the same seed."""

    family: Family = "exact"

    def forward(self, tensors: list[Tensor], seed: int) -> tuple[list[Tensor], bytes]:
        """Return no tensors, and five bytes for each.

        Raises:
            CodecError: A tensor was not drawn from this seed.
        """
        side = b""
        words = shared_thresholds([tensor.shape for tensor in tensors], seed ^ _STREAM)
        for tensor, word in zip(tensors, words, strict=True):
            kind, value = _describe(tensor, word)
            if not np.array_equal(_draw(kind, value, word), tensor):
                raise CodecError("seeded carries only a model drawn from the same seed, untrained")
            side += _SIDE.pack(kind, value)
        return [], side

    def backward(
        self, tensors: list[Tensor], side: Reader, shapes: Sequence[Shape], seed: int
    ) -> list[Tensor]:
        """Draw the tensors."""
        out: list[Tensor] = []
        for word in shared_thresholds(shapes, seed ^ _STREAM):
            kind, value = _SIDE.unpack(side.bytes(_SIDE.size))
            if kind > _UNIFORM or not abs(value) <= np.finfo(np.float16).max:
                raise FrameError(f"the frame has a seeded tensor of kind {kind} and value {value}")
            out.append(_draw(kind, value, word))
        return out

    def shapes_after(self, shapes: Sequence[Shape]) -> list[Shape]:
        """Nothing is left to code."""
        return []


def draw_again(parameters: Parameters, seed: int) -> Parameters:
    """Draw a new model's random tensors from a seed, each with the scale that it has.

    Constant tensors (zero biases, ones of a norm) stay. Others become uniform with the same root
    mean square, as PyTorch's own layers begin; leave models alone that begin in another way.
    """
    words = shared_thresholds([tensor.shape for tensor in parameters.values()], seed ^ _STREAM)
    drawn = {}
    for (name, tensor), word in zip(parameters.items(), words, strict=True):
        if _is_constant(tensor):
            drawn[name] = _half(tensor)
        else:
            rms = float(np.sqrt(np.mean(np.square(tensor, dtype=np.float64))))
            drawn[name] = _draw(_UNIFORM, _round(rms * 3**0.5), word)
    return drawn


def _is_constant(tensor: Tensor) -> bool:
    return tensor.size == 0 or bool((tensor == tensor.flat[0]).all())


def _describe(tensor: Tensor, words: npt.NDArray[np.uint32]) -> tuple[int, float]:
    if _is_constant(tensor):
        return _CONSTANT, float(tensor.flat[0]) if tensor.size else 0.0
    units = _units(words).ravel()
    place = int(np.abs(units).argmax())
    return _UNIFORM, _round(float(tensor.ravel()[place]) / float(units[place]))


def _draw(kind: int, value: float, words: npt.NDArray[np.uint32]) -> FloatArray:
    if kind == _CONSTANT:
        return np.full(words.shape, value, np.float32)
    return _half(np.float32(value) * _units(words))


def _half(tensor: FloatArray) -> FloatArray:
    """Round to float16, as the format says."""
    return tensor.astype(np.float16).astype(np.float32)


def _units(words: npt.NDArray[np.uint32]) -> FloatArray:
    """Return the words as float32 in [-1, 1), exactly."""
    return (words >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)


def _round(bound: float) -> float:
    """Keep 8 bits: few enough to read a bound back from float16 entries."""
    mantissa, exponent = frexp(bound)
    return ldexp(round(mantissa * 2**_BOUND_BITS), exponent - _BOUND_BITS)


def build(call: Call) -> Seeded:
    """Read ``seeded``."""
    arity(call, 0)
    return Seeded()
