"""``lowrank(rank)``: each large matrix as the product of two thin ones.

Updates after short local training have few independent directions. The factors come from
randomised subspace iteration (Halko, Martinsson and Tropp 2011) with one power step, and are
scaled by the singular values on both sides: a step of the same size then costs the same error in
either. Biased: use feedback, or send it down.

Side information: for each factored tensor, in order, its singular values as float16.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from frugalfl.blocks import FloatArray, Shape
from frugalfl.calls import Call, arity, whole
from frugalfl.codec.buffer import Reader
from frugalfl.codec.links import Family, Product, Tensor, Transform
from frugalfl.errors import CodecError, FrameError

_OVERSAMPLE = 6
_MOST_RANK = 256


class LowRank(Transform):
    """Tensors of two axes and more that gain by it become two factors; others stay."""

    family: Family = "biased"

    def __init__(self, rank: int) -> None:
        self._rank = rank

    def forward(self, tensors: list[Tensor], seed: int) -> tuple[list[Tensor], bytes]:
        """Return left factors (rank, rows), right ones (rank, columns), and untouched tensors."""
        out: list[Tensor] = []
        side = b""
        for tensor in tensors:
            if not self._pays(tensor.shape):
                out.append(tensor)
                continue
            left, values, right = factors(as_matrix(tensor), self._rank, seed)
            half = values.astype("<f2")
            if not np.isfinite(half).all():
                raise CodecError("a singular value is beyond float16; training diverged")
            side += half.tobytes()
            out += [(left * values).T.copy(), right * values[:, None]]
        return out, side

    def backward(
        self, tensors: list[Tensor], side: Reader, shapes: Sequence[Shape], seed: int
    ) -> list[Tensor]:
        """Multiply the factors."""
        with np.errstate(over="ignore", invalid="ignore"):
            return [
                part.dense() if isinstance(part, Product) else part
                for part in self.factors(tensors, side, shapes, seed)
            ]

    def factors(
        self, tensors: list[Tensor], side: Reader, shapes: Sequence[Shape], seed: int
    ) -> list[FloatArray | Product]:
        """Return what :meth:`backward` does, without multiplying."""
        parts = iter(tensors)
        return [
            self._product(next(parts), next(parts), side, shape)
            if self._pays(shape)
            else next(parts)
            for shape in shapes
        ]

    def shapes_after(self, shapes: Sequence[Shape]) -> list[Shape]:
        """Return two shapes for each factored tensor."""
        after: list[Shape] = []
        for shape in shapes:
            if self._pays(shape):
                rows, columns = shape[0], prod(shape[1:])
                after += [(self._rank, rows), (self._rank, columns)]
            else:
                after.append(shape)
        return after

    def _pays(self, shape: Shape) -> bool:
        if len(shape) <= 1:
            return False
        rows, columns = shape[0], prod(shape[1:])
        return 0 < 2 * self._rank * (rows + columns) <= rows * columns

    def _product(self, left: Tensor, right: Tensor, side: Reader, shape: Shape) -> Product:
        values = np.frombuffer(side.bytes(2 * self._rank), "<f2").astype(np.float32)
        if not np.isfinite(values).all() or (values < 0).any():
            raise FrameError("the frame's singular values are not valid")
        inverse = np.divide(1, values, out=np.zeros_like(values), where=values > 0)
        with np.errstate(over="ignore", invalid="ignore"):
            return Product(
                np.asarray(left.T * inverse, np.float32), np.asarray(right, np.float32), shape
            )


def as_matrix(tensor: Tensor) -> Tensor:
    """Return the tensor as its first axis by all others."""
    return tensor.reshape(tensor.shape[0], -1)


def factors(x: Tensor, rank: int, seed: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the leading singular vectors and values: (rows, rank), (rank,), (rank, columns)."""
    start = np.random.default_rng(seed).standard_normal(
        (x.shape[1], rank + _OVERSAMPLE), np.float32
    )
    try:
        basis, _ = np.linalg.qr(x @ start)
        basis, _ = np.linalg.qr(x @ (x.T @ basis))
        left, values, right = np.linalg.svd(basis.T @ x, full_matrices=False)
    except np.linalg.LinAlgError as error:
        raise CodecError(
            "low rank cannot take values this large; training diverged: lower the learning rate"
        ) from error
    return (basis @ left)[:, :rank], values[:rank], right[:rank]


def build(call: Call) -> LowRank:
    """Read ``lowrank(8)``."""
    arity(call, 1)
    rank = whole(call.arguments[0], "lowrank")
    if rank > _MOST_RANK:
        raise CodecError(f"lowrank takes a rank of at most {_MOST_RANK}, not {rank}")
    return LowRank(rank)
