"""A mean over seeds, with its 95 % confidence interval; and joules, measured or estimated."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds.

    Attributes:
        mean: Of the values.
        half_width: Half of the 95 % confidence interval by Student's t; ``None``, so unknown, of a
            single value.
        values: One a seed.
    """

    mean: float
    half_width: float | None
    values: tuple[float, ...]

    def text(self, digits: int = 3) -> str:
        """Return it for people.

        >>> Estimate(0.7269, 0.0121, (0.72, 0.73)).text(), Estimate(0.7269, None, (0.7269,)).text()
        ('0.727 ± 0.012', '0.727')
        """
        if self.half_width is None:
            return f"{self.mean:.{digits}f}"
        return f"{self.mean:.{digits}f} ± {self.half_width:.{digits}f}"


@dataclass(frozen=True)
class Joules:
    """Energy of some work, by what is known of it; ``None`` is unknown, never 0.

    Attributes:
        measured: By a meter (J).
        estimated: By a model, such as CPU time (J).
    """

    measured: float | None = None
    estimated: float | None = None

    def __add__(self, other: Joules) -> Joules:
        return total((self, other))

    def per(self, count: float) -> Joules:
        """Return the share of each of so many; unknown if there are none."""
        if count <= 0:
            return Joules()
        return Joules(
            *(None if one is None else one / count for one in (self.measured, self.estimated))
        )

    @property
    def both(self) -> float | None:
        """Measured and estimated together, to place a point; a text names them apart."""
        known = [one for one in (self.measured, self.estimated) if one is not None]
        return math.fsum(known) if known else None

    @property
    def kind(self) -> str:
        """Whether the joules are ``measured``, ``estimated``, ``partly estimated``, ``unknown``."""
        match self.measured is not None, self.estimated is not None:
            case True, False:
                return "measured"
            case False, True:
                return "estimated"
            case True, True:
                return "partly estimated"
        return "unknown"

    def sums(self) -> dict[str, float | None]:
        """Return both by their words, as ``texts.energy`` and ``summary.json`` take them."""
        return asdict(self)


def total(parts: Iterable[Joules]) -> Joules:
    """Add up measured and estimated joules, each for itself; unknown if any part is unknown."""
    every = tuple(parts)
    if any(one.both is None for one in every):
        return Joules()
    measured = [one.measured for one in every if one.measured is not None]
    estimated = [one.estimated for one in every if one.estimated is not None]
    return Joules(
        math.fsum(measured) if measured else None, math.fsum(estimated) if estimated else None
    )


def estimate(values: Sequence[float]) -> Estimate | None:
    """Return the mean and its 95 % confidence interval; ``None`` without a value."""
    if not values:
        return None
    n = len(values)
    half = student_t(n - 1) * stdev(values) / math.sqrt(n) if n > 1 else None
    return Estimate(fmean(values), half, tuple(values))


def student_t(degrees: int) -> float:
    """Return the t within which 95 % of Student's distribution lies, two-sided.

    The probability inside is a finite sum of cosines for whole degrees of freedom (Abramowitz and
    Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4); its inverse is found by
    bisection.

    >>> round(student_t(2), 4)
    4.3027

    Args:
        degrees: Degrees of freedom, at least 1.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _inside(middle, degrees) < _CONFIDENCE else (low, middle)
    return math.sqrt(degrees) * math.tan(low)


def _inside(angle: float, degrees: int) -> float:
    """Return the probability of ``|t| < sqrt(degrees) tan(angle)``."""
    odd = degrees % 2
    term = math.cos(angle) if odd else 1.0
    series = 0.0
    for power in range(odd, degrees - 1, 2):
        series += term
        term *= math.cos(angle) ** 2 * (power + 1) / (power + 2)
    series *= math.sin(angle)
    return (angle + series) * 2 / math.pi if odd else series
