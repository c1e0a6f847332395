"""Comparisons and choices as arithmetic on float32.

TFLite-Micro cannot transpose BOOL and has no SIGN; the converter turns ``clamp(x, 0, 1)`` into an
operator that TFLite-Micro lacks. A condition is therefore a tensor of zeros and ones here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

#: Times the smallest normal float32 it is above 1.
_HUGE = 1e38


def above_zero(x: torch.Tensor) -> torch.Tensor:
    """Return 1 where x > 0, else 0; a ramp on the subnormal numbers between."""
    return above_zero_of_positive(x.relu())


def above_zero_of_positive(x: torch.Tensor) -> torch.Tensor:
    """Return the same of an x that is nowhere below 0."""
    import torch

    return torch.minimum(x * _HUGE, torch.ones((), dtype=x.dtype))


def greater(x: Any, y: Any) -> torch.Tensor:
    """Return 1 where x > y."""
    return above_zero(_float(x) - _float(y))


def greater_equal(x: Any, y: Any) -> torch.Tensor:
    """Return 1 where x >= y."""
    return 1 - greater(y, x)


def less(x: Any, y: Any) -> torch.Tensor:
    """Return 1 where x < y."""
    return greater(y, x)


def less_equal(x: Any, y: Any) -> torch.Tensor:
    """Return 1 where x <= y."""
    return 1 - greater(x, y)


def equal(x: Any, y: Any) -> torch.Tensor:
    """Return 1 where x == y."""
    return 1 - above_zero_of_positive((_float(x) - _float(y)).abs())


def not_equal(x: Any, y: Any) -> torch.Tensor:
    """Return 1 where x != y."""
    return above_zero_of_positive((_float(x) - _float(y)).abs())


def logical_and(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return 1 where both are."""
    return x * y


def logical_or(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return 1 where one is."""
    return x + y - x * y


def logical_not(x: torch.Tensor) -> torch.Tensor:
    """Return 1 where it is not."""
    return 1 - x


def where(condition: torch.Tensor, x: Any, y: Any) -> Any:
    """Choose by a condition of this file."""
    if not condition.is_floating_point():
        return NotImplemented
    return condition * x + (1 - condition) * y


def sign(x: torch.Tensor) -> torch.Tensor:
    """Return -1, 0 or 1."""
    return above_zero(x) - above_zero(-x)


def power(x: torch.Tensor, exponent: float) -> Any:
    """Multiply where the exponent is 2 or 3: there is no POW in TFLite-Micro."""
    if exponent == 2:
        return x * x
    return x * x * x if exponent == 3 else NotImplemented


def empty_like(x: torch.Tensor, **_options: Any) -> torch.Tensor:
    """Return zeros: there is no tensor without values."""
    import torch

    return torch.zeros(x.shape, dtype=x.dtype)


def one_hot(y: torch.Tensor, classes: int) -> torch.Tensor:
    """Return float32 rows, 1 at the class and 0 elsewhere: no ONE_HOT in TFLite-Micro.

    Args:
        y: Class numbers, shape ``(...)``; one outside of ``range(classes)`` gets a row of zeros.
        classes: How many.
    """
    import torch

    numbers = torch.arange(classes, dtype=torch.float32)
    return (1 - (y.to(torch.float32)[..., None] - numbers).abs()).relu()


def _float(x: Any) -> Any:
    import torch

    if isinstance(x, torch.Tensor) and not x.is_floating_point():
        return x.to(torch.float32)
    return x
