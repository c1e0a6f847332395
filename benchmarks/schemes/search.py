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
    final = fmean(curve.final for curve in curves)
    return sum(bool(c.diverged) for c in curves), reached.count(None), sent, -final


def every_rate(run_at: RunAt, rates: Sequence[float], seeds: Sequence[int]) -> list[Best]:
    """Run all step sizes in full; those that break down on one seed are left out."""
    found = []
    for rate in rates:
        curves: list[Curve] = []
        for seed in seeds:
            curves.append(run_at(rate, seed, _nothing))
            if curves[-1].diverged:
                break
        else:
            found.append(Best(rate, curves))
    return found


def best_rate(run_at: RunAt, rates: Sequence[float], seeds: Sequence[int], target: float) -> Best:
    """Find the step size with the fewest bytes to the target, and run it in full.

    While searching, a federation stops at the target, and where its step size has sent more than
    the best one so far had over all seeds. A step size that breaks down after the target is
    passed over.
    """
    if len(rates) == 1:
        return Best(rates[0], [run_at(rates[0], seed, _nothing) for seed in seeds])
    tried: list[tuple[Score, Best]] = []
    allowed = float("inf")
    for rate in rates:
        curves: list[Curve] = []
        spent = 0
        for seed in seeds:
            curves.append(run_at(rate, seed, _stopper(target, allowed - spent)))
            spent += curves[-1].sent[-1] if curves[-1].sent else 0
            if curves[-1].reached(target) is None and spent > allowed:
                break
        else:
            found = score(curves, target)
            tried.append((found, Best(rate, curves)))
            if found[:2] == (0, 0):
                allowed = min(allowed, found[2])
    for _, best in sorted(tried, key=lambda each: each[0]):
        finished = [
            run_at(best.rate, seed, _nothing) if curve.stopped else curve
            for seed, curve in zip(seeds, best.curves, strict=True)
        ]
        if not any(curve.diverged for curve in finished):
            break
    return Best(best.rate, finished)


def _nothing(_: Curve) -> None:
    """Watch a federation to its end."""


def _stopper(target: float, allowed: float) -> Watch:
    """Return what stops a federation at the target, or when it has sent more than is allowed."""

    def watch(curve: Curve) -> None:
        if curve.accuracy[-1] >= target or curve.sent[-1] > allowed:
            raise EnoughError

    return watch
