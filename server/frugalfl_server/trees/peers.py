"""Clients' contributions beside each other: which one is unlike all others.

What a client contributes is seen as a vector (scores of made-up rows, gradients by leaf or by
bin). Two rules, each against the other clients of the same exchange, so that a minority cannot
move them:

- its length is at most :data:`FAR` times that of the median client;
- in the first step of a run, when all start from the same constant, it points where the others
  point. (Later steps mend what is left, and where branches differ, honest ones disagree.)

Where nobody is refused, nothing of this touches the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np
import numpy.typing as npt

from frugalfl.trees.forest import UInt8s
from frugalfl_server.rounds.row_claims import FEWEST

Vector = npt.NDArray[np.float64]

#: How many times the median client's length is too long. Branches divided by spending, the most
#: unlike that were tried, reached 1.9 times (`docs/trees.md`).
FAR = 3.0
#: Least correlation with the others in the first step. Honest branches had 0.4 and more, one with
#: rows of one class -0.27; those with inverted labels had -0.48 and less.
AGAINST = -0.35
_PROBES = 1000


def probes(counts: Sequence[int]) -> UInt8s:
    """Return made-up rows, uint8 (rows, features): each bin of a feature as often as any other."""
    random = np.random.default_rng(len(counts))
    columns = [random.integers(0, count, _PROBES) for count in counts]
    return np.stack(columns, axis=1).astype(np.uint8)


def too_long(lengths: Mapping[int, float]) -> dict[int, str]:
    """Return why clients are refused, by node: lengths far beyond the median client's.

    Args:
        lengths: By node; 0 is no contribution, and no measure of what is usual.
    """
    moved = [length for length in lengths.values() if length]
    if len(moved) < FEWEST:
        return {}
    usual = median(moved)
    return {
        node: f"its contribution is {length / usual:.3g} times as long as the median client's "
        f"(limit {FAR:g})"
        for node, length in lengths.items()
        if length > FAR * usual
    }


def against(vectors: Mapping[int, Vector]) -> dict[int, str]:
    """Return why clients are refused, by node: those that point against the others.

    The worst goes first, and the others are looked at again without it.
    """
    left = {node: vector - vector.mean() for node, vector in vectors.items() if np.ptp(vector)}
    refused: dict[int, str] = {}
    while len(left) >= FEWEST:
        found = {node: _correlation(vector, _others(left, node)) for node, vector in left.items()}
        worst = min(found, key=found.__getitem__)
        if found[worst] >= AGAINST:
            break
        refused[worst] = (
            f"its contribution points against the other clients' (correlation {found[worst]:.2f}, "
            f"least {AGAINST:g}); are its labels inverted?"
        )
        del left[worst]
    return refused


def _others(vectors: Mapping[int, Vector], node: int) -> Vector:
    """Return the mean direction of all others, each of length 1: none of them leads."""
    units = [_unit(vector) for other, vector in vectors.items() if other != node]
    whole: Vector = np.sum(units, axis=0)
    return whole


def _correlation(one: Vector, other: Vector) -> float:
    return float(np.vdot(_unit(one), _unit(other)))


def _unit(vector: Vector) -> Vector:
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector


def length_of(gradients: Vector, hessians: Vector, rows: int) -> float:
    """Return how far a client's rows are from the model, as sums of gradients tell: a chi.

    Args:
        gradients: By leaf or bin.
        hessians: The same.
        rows: That they are of.
    """
    return float(np.sqrt((gradients**2 / (hessians + 1)).sum() / max(rows, 1)))


def directions(sums: Mapping[int, tuple[Vector, Vector]]) -> dict[int, Vector]:
    """Return where each client's gradients point, apart from a step of all leaves alike.

    Args:
        sums: Gradients and hessians by leaf or bin, by node.
    """
    scale = np.sqrt(np.sum([hessians for _, hessians in sums.values()], axis=0) + 1)
    return {
        node: (gradients - hessians * (gradients.sum() / max(float(hessians.sum()), 1e-9))) / scale
        for node, (gradients, hessians) in sums.items()
    }
