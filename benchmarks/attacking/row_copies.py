"""Training programs that carry rows of a batch out of a device, one trick each.

Each takes what a training program takes and returns one parameter, which becomes the update. The
model that they are sent for is nothing but that parameter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from attacking.tflite_graph import GraphWriter
from frugalfl.program import Program, Tensor
from frugalfl.subspace import Subspace

#: Rows of a batch, entries of a row, as the digits' clients have them.
BATCH, ENTRIES = 16, 64
_SHAPE = (1, 8, 8)
_FLAT = (BATCH, ENTRIES)
#: Of the parameter.
_NAME = "leak.weight"


class Trick(GraphWriter):
    """A ``train`` graph with its inputs; ``rows`` is ``x`` with flat rows.

    Args:
        shape: Of the parameter, and so of the update.
        batch: Rows of a batch.
    """

    def __init__(self, shape: tuple[int, ...], batch: int = BATCH) -> None:
        super().__init__()
        self.shape, self.batch = shape, batch
        self.before = self.input("p0", shape)
        self.x = self.input("x", (batch, *_SHAPE))
        self.y = self.input("y", (batch,), "i")
        self.w = self.input("w", (batch,))
        self.rows = self.reshaped(self.x, (batch, ENTRIES))

    def whole(self, *values: int) -> int:
        """Add a constant of whole numbers."""
        return self.constant(list(values), "i")

    def reshaped(self, one: int, shape: tuple[int, ...]) -> int:
        """Add a reshape."""
        return self.operator("RESHAPE", [one, self.whole(*shape)], shape)

    def total(self, one: int, axis: int, shape: tuple[int, ...]) -> int:
        """Add a sum over one axis."""
        return self.operator("SUM", [one, self.whole(axis)], shape, options="ReducerOptions")

    def matrix(self, first: int, second: int, shape: tuple[int, ...], **options: bool) -> int:
        """Add a product of matrices."""
        return self.operator(
            "BATCH_MATMUL", [first, second], shape, options="BatchMatMulOptions", **options
        )

    def cut(self, one: int, begin: tuple[int, ...], size: tuple[int, ...]) -> int:
        """Add a slice."""
        return self.operator("SLICE", [one, self.whole(*begin), self.whole(*size)], size)

    def times(self, first: int, second: int, shape: tuple[int, ...]) -> int:
        """Add a product, entry by entry."""
        return self.operator("MUL", [first, second], shape, options="MulOptions")


@dataclass(frozen=True)
class Copy:
    """A trick: how it is built, its update's shape and scale, and of how many rows to try it.

    ``subspace``: the one that it says it trains in.
    """

    build: Callable[[Trick], int]
    shape: tuple[int, ...] = _FLAT
    scale: float = 1.0
    rows: int = BATCH
    subspace: Subspace | None = None


def _one_hot(rows: int = BATCH, least: float = 0.0) -> np.ndarray:
    return np.eye(BATCH, dtype=np.float32)[::-1][:rows] + np.float32(least)


def _chosen(trick: Trick, selector: int) -> int:
    """Weigh each row by a selector, and sum over the batch."""
    column = trick.reshaped(selector, (BATCH, 1))
    return trick.reshaped(trick.total(trick.times(trick.rows, column, _FLAT), 0, (64,)), (1, 64))


def _joined(trick: Trick) -> int:
    halves = [trick.cut(trick.rows, (start, 0), (8, ENTRIES)) for start in (8, 0)]
    return trick.operator("CONCATENATION", halves, _FLAT, options="ConcatenationOptions", axis=0)


def _peaked(trick: Trick, places: int) -> int:
    """Make 1 where a position is 3, else 0."""
    away = trick.operator("SUB", [places, trick.constant(3.0)], (BATCH,), options="SubOptions")
    near = trick.operator("ABS", [away], (BATCH,))
    flat = trick.operator("SUB", [trick.constant(1.0), near], (BATCH,), options="SubOptions")
    return trick.operator("RELU", [flat], (BATCH,))


def _by_range(trick: Trick) -> int:
    ends = [trick.constant(value) for value in (0.0, float(BATCH), 1.0)]
    return _chosen(trick, _peaked(trick, trick.operator("RANGE", ends, (BATCH,))))


def _by_running_sum(trick: Trick) -> int:
    axis = trick.constant(0, "i")
    places = trick.operator("CUMSUM", [trick.w, axis], (BATCH,), options="CumsumOptions")
    return _chosen(trick, _peaked(trick, places))


def _by_convolution(trick: Trick) -> int:
    """A window as high as the batch, with a 1 at one row."""
    image = trick.reshaped(trick.x, (1, BATCH, ENTRIES, 1))
    window = trick.constant(np.eye(BATCH, dtype=np.float32)[3].reshape(1, BATCH, 1, 1))
    made = trick.operator(
        "CONV_2D", [image, window, trick.constant([0.0])], (1, 1, ENTRIES, 1),
        options="Conv2DOptions", padding=1, strideW=1, strideH=1,
    )  # fmt: skip
    return trick.reshaped(made, (1, ENTRIES))


def _transposed(trick: Trick) -> int:
    turned = trick.operator("TRANSPOSE", [trick.rows, trick.whole(1, 0)], (ENTRIES, BATCH))
    return trick.reshaped(trick.cut(turned, (0, 5), (ENTRIES, 1)), (1, ENTRIES))


def _by_parameter(trick: Trick) -> int:
    """The server sends the selector as the first columns of the parameter."""
    return trick.matrix(trick.cut(trick.before, (0, 0), (BATCH, BATCH)), trick.rows, _FLAT)


def _filler(trick: Trick) -> int:
    """What fills up a short batch is of the batch before."""
    left = trick.operator("SUB", [trick.constant(1.0), trick.w], (BATCH,), options="SubOptions")
    return _chosen(trick, left)


def _strided(trick: Trick) -> int:
    bounds = [trick.whole(0, 0), trick.whole(*_FLAT), trick.whole(2, 1)]
    return trick.operator(
        "STRIDED_SLICE", [trick.rows, *bounds], (8, ENTRIES), options="StridedSliceOptions"
    )


def _gathered(trick: Trick) -> int:
    order = trick.constant(np.arange(BATCH)[::-1], "i")
    return trick.operator("GATHER", [trick.rows, order], _FLAT, options="GatherOptions", axis=0)


def _numbered(trick: Trick) -> int:
    order = trick.constant(np.arange(BATCH)[::-1].reshape(BATCH, 1), "i")
    return trick.operator("GATHER_ND", [trick.rows, order], _FLAT)


def _scattered(trick: Trick) -> int:
    places = trick.constant(np.arange(BATCH)[::-1].reshape(BATCH, 1), "i")
    return trick.operator("SCATTER_ND", [places, trick.rows, trick.whole(*_FLAT)], _FLAT)


def _padded(trick: Trick) -> int:
    """One more row of zeros at the end, and the first cut off: rows move up."""
    wide = trick.operator(
        "PAD", [trick.rows, trick.constant([[0, 1], [0, 0]], "i")], (17, 64), options="PadOptions"
    )
    return trick.cut(wide, (1, 0), _FLAT)


def _largest(trick: Trick) -> int:
    """Push all rows but one far down, then take the largest entry over the batch."""
    down = trick.constant((1 - _one_hot(1)).reshape(BATCH, 1) * -1e3)
    low = trick.operator("ADD", [trick.rows, down], _FLAT, options="AddOptions")
    top = trick.operator("REDUCE_MAX", [low, trick.whole(0)], (64,), options="ReducerOptions")
    return trick.reshaped(top, (1, ENTRIES))


def _chosen_signs() -> tuple[Subspace, int]:
    """Find a run's seed with signs that are +1 for one row of the batch only, in some column."""
    seed = 0
    while True:
        subspace = Subspace({_NAME: _FLAT}, ENTRIES, seed)
        alone = np.flatnonzero((subspace.signs(_NAME) > 0).sum(0) == 1)
        if len(alone):
            return subspace, int(alone[0])
        seed += 1


_SUBSPACE, _COLUMN = _chosen_signs()


def _by_signs(trick: Trick) -> int:
    """The device draws the selector itself, from the seed that the server chose for the run."""
    column = trick.cut(trick.input("q0", _FLAT), (0, _COLUMN), (BATCH, 1))
    positive = trick.operator("RELU", [column], (BATCH, 1))
    weight = trick.times(positive, trick.reshaped(trick.w, (BATCH, 1)), (BATCH, 1))
    return _chosen(trick, weight)


#: By what the trick is, in the words of the table.
COPIES: dict[str, Copy] = {
    "rows as they are": Copy(lambda t: t.rows),
    "one row by a slice": Copy(lambda t: t.cut(t.rows, (3, 0), (1, ENTRIES)), (1, ENTRIES)),
    "every other row": Copy(_strided, (8, ENTRIES)),
    "halves of a batch joined the other way": Copy(_joined),
    "rows in reverse": Copy(
        lambda t: t.operator("REVERSE_V2", [t.rows, t.whole(0)], _FLAT)
    ),
    "rows gathered in another order": Copy(_gathered),
    "rows picked by their numbers": Copy(_numbered),
    "rows scattered to other places": Copy(_scattered),
    "rows moved up by padding": Copy(_padded),
    "rows scaled by a thousandth": Copy(
        lambda t: t.times(t.rows, t.constant(1e-3), _FLAT), scale=1e-3
    ),
    "rows times a permutation": Copy(
        lambda t: t.matrix(t.constant(_one_hot()), t.rows, _FLAT)
    ),
    "one row by a one-hot": Copy(
        lambda t: t.matrix(t.constant(_one_hot(1)), t.rows, (1, ENTRIES)), (1, ENTRIES)
    ),
    "one row by a one-hot that is nowhere 0": Copy(
        lambda t: t.matrix(t.constant(_one_hot(1, 1e-30)), t.rows, (1, ENTRIES)), (1, ENTRIES)
    ),
    "one row by a selector that the model is": Copy(_by_parameter),
    "one row by positions counted in the graph": Copy(_by_range, (1, ENTRIES)),
    "one row by a running sum of the weights": Copy(_by_running_sum, (1, ENTRIES)),
    "one row by a window over the batch": Copy(_by_convolution, (1, ENTRIES)),
    "one row of the transposed batch": Copy(_transposed, (1, ENTRIES)),
    "one row as the largest": Copy(_largest, (1, ENTRIES)),
    "one row by the signs of a subspace": Copy(_by_signs, subspace=_SUBSPACE),
    "what fills up a short batch": Copy(_filler, (1, ENTRIES), rows=2 * BATCH - 1),
}  # fmt: skip


def program_of(copy: Copy) -> Program:
    """Return the program of a trick; its parameter is the update."""
    trick = Trick(copy.shape)
    counts = {} if copy.subspace is None else copy.subspace.counts
    return replace(_finished(trick, copy.build(trick)), coordinates=tuple(counts.values()))


def honest_program(batch: int = BATCH) -> Program:
    """Return one that sums its batch's rows, as a gradient does."""
    trick = Trick((1, ENTRIES), batch)
    column = trick.reshaped(trick.w, (batch, 1))
    weighed = trick.times(trick.rows, column, (batch, ENTRIES))
    return _finished(trick, trick.reshaped(trick.total(weighed, 0, (64,)), (1, ENTRIES)))


def _finished(trick: Trick, update: int) -> Program:
    after = trick.operator("ADD", [update, trick.before], trick.shape, options="AddOptions")
    trick.output("loss", trick.total(trick.w, 0, ()))
    trick.output("p0", after)
    return Program(
        model=trick.file(), batch=trick.batch, input_shape=_SHAPE, target_shape=(),
        parameters=(Tensor(_NAME, trick.shape, changes=True),), state=(), proximal=False,
        classes=10,
    )  # fmt: skip
