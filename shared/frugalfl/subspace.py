"""A random subspace: all trained weights are computed from a few hundred coordinates.

A weight is what it was when the subspace was drawn, plus or minus one coordinate: entry ``i`` of a
tensor with ``k`` coordinates follows coordinate ``i mod k`` of that tensor, with a sign that both
ends draw from the run's seed. So the way from coordinates to weights is a multiplication with
signs, row by row, and the way of a gradient back is the same multiplication and a sum. Nothing is
gathered, and nothing has to be stored. (Hashed weights: Chen et al. 2015; training in random
subspaces: Li et al. 2018.)

Only coordinates are trained and travel. From time to time they are *folded*: the weights keep what
they have become, the coordinates are zero again, and other signs are drawn. So training reaches
what one subspace would not hold.

Coordinates are scaled so that a step of 1 moves the weights by about 1 together, however many of
them follow it. The scales are powers of two, so that weights stay on the lattice that clients'
models live on (:func:`~frugalfl.blocks.snap`) if the coordinates are multiples of
:attr:`Subspace.finest`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import log2, prod, sqrt

import numpy as np
import numpy.typing as npt

from frugalfl.blocks import LATTICE_BITS, FloatArray, Parameters, Shape, is_statistic
from frugalfl.codec.entropy import mix

#: Names of the two tensors that travel in place of a model's.
COORDINATES = "coordinates"
STATISTICS = "statistics.running_all"
#: Most subspaces that a client which lacks them is led through; beyond, it is sent a full model.
#: Each takes a draw for every weight, so that more would take longer than a model's decoding.
MOST_FOLDS = 256
#: The bits of 1.0 in float32, and that of its sign.
_ONE, _SIGN = np.uint32(0x3F800000), np.uint32(0x80000000)
#: Keeps these draws apart from everything else that is drawn from a run's seed.
_STREAM = 0x53554253


@dataclass(frozen=True)
class Subspace:
    """The coordinates of one model, between two folds.

    Attributes:
        shapes: Of the model's tensors that train or follow, by name; statistics among them are
            no weights, and are followed exactly.
        dimension: How many coordinates there should be; a tensor has at least one, and not more
            than entries.
        seed: Of the run.
        fold: How often coordinates have been folded before.
        kept: Signs that were drawn, by tensor; ``None``: they are drawn whenever they are needed.
    """

    shapes: Mapping[str, Shape]
    dimension: int
    seed: int
    fold: int = 0
    kept: dict[str, FloatArray] | None = field(default=None, compare=False, repr=False)

    def keeping_signs(self) -> Subspace:
        """Return the same subspace, which draws its signs once: 4 B a weight while it is there."""
        return replace(self, kept={})

    def without_signs(self) -> Subspace:
        """Return the same subspace, which keeps none."""
        return replace(self, kept=None)

    @cached_property
    def counts(self) -> dict[str, int]:
        """Coordinates of each weight tensor: shared out by the root of its size."""
        sizes = {
            name: prod(shape)
            for name, shape in self.shapes.items()
            if prod(shape) and not is_statistic(name)
        }
        roots = sum(map(sqrt, sizes.values()))
        counts = {
            name: min(size, max(1, round(self.dimension * sqrt(size) / roots)))
            for name, size in sizes.items()
        }
        if counts:  # what rounding has left over goes to the largest
            largest = max(sizes, key=lambda name: sizes[name])
            left = self.dimension - sum(counts.values())
            counts[largest] = min(sizes[largest], max(1, counts[largest] + left))
        return counts

    @cached_property
    def shifts(self) -> dict[str, int]:
        """Of each weight tensor, how many bits its coordinates are coarser than its weights."""
        return {
            name: round(log2(prod(self.shapes[name]) / count) / 2)
            for name, count in self.counts.items()
        }

    @property
    def finest(self) -> float:
        """The step of coordinates that keeps all weights on the lattice."""
        return float(2.0 ** (max(self.shifts.values(), default=0) - LATTICE_BITS))

    @property
    def step_scale(self) -> float:
        """What a step size is multiplied by: twice the root of coordinates per weight.

        The curvature along a coordinate is the sum of those of all weights that follow it. Found on
        digits with 512 and 1,024 coordinates, from the best step sizes with and without them.
        """
        return min(1.0, 2 * sqrt(self._coordinates / self._weights))

    @property
    def spread(self) -> float:
        """The root of weights per coordinate.

        As many times longer has to be a step that is the same in all coordinates, to move the
        weights as far together as the step that is the same in all weights.
        """
        # Not 1 by the root above: of 2 weights a coordinate its last bit differs, and with it the
        # power of two that is nearest, and all bits of a run.
        return sqrt(self._weights / max(self._coordinates, 1))

    @property
    def _coordinates(self) -> int:
        return sum(self.counts.values())

    @property
    def _weights(self) -> int:
        return max(sum(prod(self.shapes[name]) for name in self.counts), 1)

    @property
    def statistics(self) -> list[str]:
        """Names of the running statistics, in the order of the model."""
        return [name for name in self.shapes if is_statistic(name)]

    def signs(self, name: str) -> FloatArray:
        """Draw the signs of a weight tensor.

        Returns:
            Shape ``(rows, count)``: +1 or -1 of each entry in the order of the tensor, and 0 behind
            its last one. Not to be changed: they may be kept.
        """
        if self.kept is None:
            return self._draw(name)
        if name not in self.kept:
            self.kept[name] = self._draw(name)
        return self.kept[name]

    def _draw(self, name: str) -> FloatArray:
        size, count = prod(self.shapes[name]), self.counts[name]
        place = list(self.counts).index(name)
        rows = -(-size // count)
        signs = np.zeros(rows * count, np.float32)
        words = mix(self._seed_of(place), size)
        words &= _SIGN  # a word's top bit is the sign of a 1.0
        words |= _ONE
        signs[:size] = words.view(np.float32)
        return signs.reshape(rows, count)

    def zeros(self) -> Parameters:
        """Return the coordinates, and the change of the statistics, as a fold leaves them."""
        begin = {COORDINATES: np.zeros(self._coordinates, np.float32)}
        if self.statistics:
            entries = sum(prod(self.shapes[name]) for name in self.statistics)
            begin[STATISTICS] = np.zeros(entries, np.float32)
        return begin

    def expand(self, coordinates: Mapping[str, FloatArray]) -> Parameters:
        """Return the change of every tensor that coordinates stand for.

        Args:
            coordinates: As :meth:`zeros` returns them, with other values.
        """
        parts = dict(zip(self.counts, self._split(coordinates[COORDINATES]), strict=True))
        changes = {name: np.zeros(shape, np.float32) for name, shape in self.shapes.items()}
        for name, part in parts.items():
            if not part.any():  # a fold right after another one draws no signs in vain
                continue
            scaled = part * np.float32(2.0 ** -self.shifts[name])
            size, shape = prod(self.shapes[name]), self.shapes[name]
            changes[name] = (self.signs(name) * scaled).ravel()[:size].reshape(shape)
        start = 0
        for name in self.statistics:
            size = prod(self.shapes[name])
            one = coordinates[STATISTICS][start : start + size]
            changes[name] = one.reshape(self.shapes[name])
            start += size
        return changes

    def still(self, coordinates: Parameters, names: Container[str]) -> Parameters:
        """Return coordinates of which those of some tensors are zero."""
        parts = [
            part * (name not in names)
            for name, part in zip(self.counts, self._split(coordinates[COORDINATES]), strict=True)
        ]
        return coordinates | {COORDINATES: np.concatenate(parts)}

    def reduce(self, changes: Mapping[str, FloatArray]) -> Parameters:
        """Return the coordinates whose :meth:`expand` is nearest to some changes.

        Args:
            changes: Of every tensor of the subspace.
        """
        parts = [
            self._means(name, changes[name]) * np.float32(2.0**shift)
            for name, shift in self.shifts.items()
        ]
        reduced = {COORDINATES: _together(parts)}
        if self.statistics:
            reduced[STATISTICS] = _together([changes[name].ravel() for name in self.statistics])
        return reduced

    def _means(self, name: str, change: FloatArray) -> FloatArray:
        """Return the mean of the entries of each coordinate, their signs taken off."""
        signs = self.signs(name)
        filled = np.zeros(signs.size, np.float64)
        filled[: change.size] = change.ravel()
        sums = (signs * filled.reshape(signs.shape)).sum(0)
        means: FloatArray = (sums / np.abs(signs).sum(0)).astype(np.float32)
        return means

    def _split(self, coordinates: FloatArray) -> list[FloatArray]:
        return np.split(coordinates, np.cumsum(list(self.counts.values()))[:-1])

    def _seed_of(self, place: int) -> int:
        """Return the seed of one tensor's signs."""
        drawn: npt.NDArray[np.uint32] = mix(self.seed ^ _STREAM, 1, self.fold)
        return int(mix(int(drawn[0]), 1, place)[0])


def add(parameters: Parameters, changes: Mapping[str, FloatArray]) -> Parameters:
    """Return parameters with changes added to some of them."""
    return {
        name: tensor + changes[name] if name in changes else tensor
        for name, tensor in parameters.items()
    }


def _together(parts: Iterable[FloatArray]) -> FloatArray:
    return np.concatenate([np.zeros(0, np.float32), *parts])
