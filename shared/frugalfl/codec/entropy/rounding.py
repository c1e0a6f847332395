"""Floats to integers and back: the lossy end before the entropy coder.

Two families. `round_shared` is unbiased (its mean over seeds is the input), whatever the step:
the right one if many clients are averaged and none keeps a residual. `round_nearest` has the
smaller error for one array alone, and is biased towards zero: for residuals and for the downlink.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalfl.codec.entropy.thresholds import mix
from frugalfl.errors import CodecError
from frugalfl.native.rounding import restore as restore_quickly
from frugalfl.native.rounding import rounder

Floats = NDArray[np.floating]
Symbols = NDArray[np.int32]

CENTROIDS = 3
#: From where on below the next multiple a value is rounded up to it, in steps.
DEAD_ZONE = 0.6
_MOST = 2.0**31 - 1
_WORDS = 1 << 32
_NO_FIT = "a value is not finite, or the step is too small for it"
_MARGIN = 1 + 2.0**-20  # above what rounding to float32 can take from a product


def step_for_sigma(tensors: Sequence[Floats], multiple: float) -> float:
    """The step `multiple` times the standard deviation (about zero) of all entries together."""
    count = sum(tensor.size for tensor in tensors)
    power = sum(float(np.vdot(tensor, tensor)) for tensor in tensors)
    return multiple * math.sqrt(power / max(count, 1))


def step_for_hits(tensors: Sequence[Floats], hits: float) -> float:
    """The step at which unbiased rounding leaves about `hits` nonzeros: `sum|x| / hits`.

    Bytes hardly depend on anything else, so this is a byte budget: a nonzero costs 4 to 6 bits.
    """
    return sum(float(np.abs(tensor).sum(dtype=np.float64)) for tensor in tensors) / hits


def step_for_noise(tensors: Sequence[Floats], noise: float) -> float:
    """The step at which unbiased rounding adds `noise` times the update's own power.

    The error's power is at most `step * sum|x|`, so the step is `noise * sum x² / sum|x|`. The
    noise of a mean over n clients is `noise / n`: the one figure that decides whether training
    stays stable, whatever the model's size and however heavy the tails of its updates.
    """
    size = sum(float(np.abs(tensor).sum(dtype=np.float64)) for tensor in tensors)
    power = sum(float(np.vdot(tensor, tensor)) for tensor in tensors)
    return noise * power / size if size else 0.0


def round_shared(values: Floats, step: float, words: NDArray[np.uint32]) -> Symbols:
    """Stochastic rounding to multiples of a step, against shared thresholds.

    `|q| = floor(a) + [frac(a) > t]` with `a = |x| / step` and `t = (word + 0.5) / 2**32`.

    Args:
        values: floats of any shape.
        step: positive; 0 if all values are 0.
        words: uint32, of the same shape, from `mix`.

    Raises:
        CodecError: a value is not finite, or beyond 2**31 steps.

    >>> round_shared(np.array([-2.5]), 1.0, np.array([1 << 30], np.uint32))
    array([-3], dtype=int32)
    """
    if step == 0 and not values.any():
        return np.zeros(values.shape, np.int32)
    size = np.abs(values, out=np.empty_like(values))
    _check(float(size.max(initial=0)) / _positive(step))
    # Most become zero, and floats of any size can tell that; the others are then looked at again.
    with np.errstate(over="ignore", invalid="ignore"):
        size *= values.dtype.type(2.0**32 * _MARGIN / step)
    places = (size >= words.astype(values.dtype)).ravel().nonzero()[0]
    maybe = values.ravel().take(places)
    scaled = np.abs(maybe.astype(np.float64)) / step
    whole = np.floor(scaled)
    # frac > (word + 0.5) / 2**32, without rounding errors: both sides are exact.
    whole += (scaled - whole) * 2.0**32 > words.ravel().take(places) + 0.5
    symbols = np.zeros(values.shape, np.int32)
    symbols.reshape(-1)[places] = np.copysign(whole, maybe)
    return symbols


def round_by_seed(values: Floats, step: float, seed: int, first: int) -> Symbols:
    """As :func:`round_shared`, against the words of a seed from number ``first`` on.

    Raises:
        CodecError: as for :func:`round_shared`.
    """
    if (quick := rounder(values)) is None or first + values.size > _WORDS:
        return round_shared(values, step, mix(seed, values.size, first).reshape(values.shape))
    if step == 0 and not values.any():
        return np.zeros(values.shape, np.int32)
    return _fitting(quick.against_words(values, _positive(step), seed, first))


def round_nearest(values: Floats, step: float, deadzone: float = DEAD_ZONE) -> Symbols:
    """Rounding down from `deadzone` below the next multiple: 0.5 is nearest, 0.6 saves bytes.

    `|q| = floor(|x| / step + 1 - deadzone)`: a nonzero costs more than its error is worth.

    Raises:
        CodecError: a value is not finite, or beyond 2**31 steps.

    >>> round_nearest(np.array([0.55, -0.65]), 1.0)
    array([ 0, -1], dtype=int32)
    """
    if step == 0 and not values.any():
        return np.zeros(values.shape, np.int32)
    if (quick := rounder(values)) is not None:
        return _fitting(quick.to_nearest(values, 1 / _positive(step), 1 - deadzone))
    scaled = np.abs(values, out=np.empty_like(values))
    scaled *= values.dtype.type(1 / _positive(step))
    _check(float(scaled.max(initial=0)))
    scaled += values.dtype.type(1 - deadzone)
    np.copysign(scaled, values, out=scaled)
    return scaled.astype(np.int32)


def centroids(tensors: Sequence[Floats], symbols: Sequence[Symbols], step: float) -> list[float]:
    """For sizes 1, 2 and 3 up: the mean of what was rounded to them, less the size, in steps.

    The best reconstruction points for `round_nearest`; `round_shared` needs none and allows none.
    """
    if (quick := rounder(*tensors)) is not None:
        sums, counts = quick.excess(tensors, symbols, step)
        return list(sums / np.maximum(counts, 1))
    hits = [np.flatnonzero(symbol != 0) for symbol in symbols]
    size = np.abs(_at(symbols, hits))
    excess = np.abs(_at(tensors, hits)).astype(np.float64)
    excess /= step
    excess -= size
    groups = np.minimum(size, CENTROIDS)
    count = np.maximum(np.bincount(groups, minlength=CENTROIDS + 1), 1)
    return list((np.bincount(groups, excess, CENTROIDS + 1) / count)[1:])


def _at(arrays: Sequence[NDArray[Any]], places: Sequence[NDArray[np.intp]]) -> NDArray[Any]:
    parts = [array.ravel().take(place) for array, place in zip(arrays, places, strict=True)]
    return np.concatenate(parts) if parts else np.zeros(0)


def restore(symbols: Symbols, step: float, offsets: Sequence[float] = ()) -> NDArray[np.float32]:
    """Symbols times step, each size shifted by its centroid.

    >>> restore(np.array([0, -2], np.int32), 0.5)
    array([ 0., -1.], dtype=float32)
    """
    if not offsets:
        restored = symbols.astype(np.float32)
        restored *= np.float32(step)
        return restored
    if len(offsets) == CENTROIDS:
        quick = restore_quickly(symbols, step, np.array([0.0, *offsets]))
        if quick is not None:
            return quick
    restored = np.zeros(symbols.shape, np.float32)
    hits = np.flatnonzero(symbols != 0)
    exact = symbols.ravel().take(hits).astype(np.float64)
    group = np.minimum(np.abs(exact), len(offsets)).astype(np.intp)
    exact += np.sign(exact) * np.array([0.0, *offsets]).take(group)
    exact *= step
    restored.reshape(-1)[hits] = exact
    return restored


def _positive(step: float) -> float:
    if not 0 < step < float("inf"):
        raise CodecError(f"a step of {step} cannot be used: it must be positive and finite")
    return step


def _fitting(symbols: Symbols | None) -> Symbols:
    if symbols is None:
        raise CodecError(_NO_FIT)
    return symbols


def _check(largest: float) -> None:
    if not largest < _MOST:
        raise CodecError(_NO_FIT)
