"""A scheme's best step size: fewest bytes to the target, on all seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from schemes.curve import Curve, EnoughError, Watch

#: Runs a federation with a step size and a seed.
RunAt = Callable[[float, int, Watch], Curve]
#: What is better is smaller: seeds that broke down, seeds that missed the target, bytes until it,
#: and minus the final accuracy.
Score = tuple[int, int, int, float]


@dataclass(frozen=True)
class Best:
    """The best step size, and its federations, one a seed."""

    rate: float
    curves: list[Curve]


def score(curves: Sequence[Curve], target: float) -> Score:
    """Return how good these federations are."""
    reached = [curve.reached(target) for curve in curves]
    sent = sum(c.sent[r - 1] for c, r in zip(curves, reached, strict=True) if r is not None)
    final = fmean(curve.final for curve in curves) if curves else 0.0
    return sum(bool(c.diverged) for c in curves), reached.count(None), sent, -final


def every_rate(run_at: RunAt, rates: Sequence[float], seeds: Sequence[int]) -> list[Best]:
    """Run all step sizes in full; those that break down on one seed are left out."""
    found = []
    for rate in rates:
        curves: list[Curve] = []
        for seed in seeds:
            curves.append(run_at(rate, seed, lambda _: None))
            if curves[-1].diverged:
                break
        else:
            found.append(Best(rate, curves))
    return found


def best_rate(run_at: RunAt, rates: Sequence[float], seeds: Sequence[int], target: float) -> Best:
    """Race the first step size, run in full, against the others.

    A challenger is stopped as soon as it has sent more than the best one had, over the same
    seeds, when that reached the target; so the winner has run in full.
    """
    best: Best | None = None
    for rate in rates:
        curves: list[Curve] = []
        for seed in seeds:
            rival = best.curves[: len(curves) + 1] if best else []
            curves.append(run_at(rate, seed, _stopper(rival, curves, target)))
            if rival and score(curves, target) > score(rival, target):
                break
        else:
            best = Best(rate, curves)
    assert best is not None
    return best


def _stopper(rival: Sequence[Curve], before: Sequence[Curve], target: float) -> Watch:
    """Return what stops a federation that can no longer beat the rival's."""
    broken, missed, allowed, _ = score(rival, target)
    spent = score(before, target)[2]

    def watch(curve: Curve) -> None:
        hopeless = spent + curve.sent[-1] > allowed and curve.reached(target) is None
        if rival and not broken and not missed and hopeless:
            raise EnoughError

    return watch
