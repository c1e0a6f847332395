"""How clients grow trees together, as the setting ``trees`` writes it: ``bagging(20)``.

    bagging(n)    in every round each client grows n trees; the server weighs them by rows
    cyclic(n)     clients take turns, one a round, n trees each
    refit(n)      as bagging, and the leaves are fitted to the rows of all clients
    histogram(n)  n trees in all, grown from sums of the clients' histograms

Options follow the number: ``bagging(20, rate 0.05, leaves 15)``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from frugalfl.calls import Call, parse_call, unknown, whole
from frugalfl.errors import UsageError
from frugalfl.trees.forest import MAX_LEAVES
from frugalfl.trees.params import Growth

BAGGING, CYCLIC, HISTOGRAM, REFIT = "bagging", "cyclic", "histogram", "refit"
#: All of them.
WAYS = (BAGGING, CYCLIC, REFIT, HISTOGRAM)
#: What a server asks for before the first round.
SKETCH = "sketch"
_MOST_TREES, _MOST_BINS = 10_000, 255
_BINS = "bins"


@dataclass(frozen=True)
class Way:
    """A checked way of growing trees.

    Attributes:
        name: One of :data:`WAYS`.
        trees: Of a client and round; of ``histogram`` in all.
        growth: How each tree grows.
        bins: Most bins of a feature.
    """

    name: str
    trees: int
    growth: Growth = field(default_factory=Growth)
    bins: int = 64

    def __str__(self) -> str:
        own = [f"{name} {getattr(self.growth, field)}" for name, (field, *_) in _GROWTH.items()]
        return f"{self.name}({self.trees}, {', '.join(own)}, bins {self.bins})"


def _number(text: str, what: str, least: float, most: float, kind: Callable[[str], float]) -> float:
    try:
        value = kind(text)
    except ValueError:
        value = -1.0
    if not least <= value <= most:
        raise UsageError(f"trees: {what} takes a number from {least:g} to {most:g}, not {text!r}")
    return value


#: Options of a tree's growth: field, least and most value, how it is read.
_GROWTH: dict[str, tuple[str, float, float, Callable[[str], float]]] = {
    "rate": ("learning_rate", 1e-4, 1.0, float),
    "leaves": ("leaves", 2, MAX_LEAVES, int),
    "rows": ("min_rows_in_leaf", 1, 1_000_000, int),
    "l2": ("l2", 0.0, 1e6, float),
}


def parse_way(text: str) -> Way | None:
    """Read the setting; empty: no trees, ``None``.

    >>> parse_way("bagging(20, leaves 15)").growth.leaves
    15

    Raises:
        UsageError: An unknown way or option, or a number out of range.
    """
    if not text:
        return None
    call = parse_call(text)
    if call.name not in WAYS:
        raise unknown("way of growing trees", call.name, WAYS)
    if not call.arguments:
        raise UsageError(f"trees: {call.name} takes a number of trees, such as {call.name}(20)")
    count = whole(call.arguments[0], call.name)
    if count > _MOST_TREES:
        raise UsageError(f"trees: {count} trees are too many; at most {_MOST_TREES:,}")
    given: dict[str, float] = {}
    for option in call.arguments[1:]:
        name, value = _option(option)
        if name in given:
            raise UsageError(f"trees: {option.name.partition(' ')[0]} is there twice")
        given[name] = value
    bins = given.pop(_BINS, Way.bins)
    return Way(call.name, count, Growth(**given), int(bins))  # type: ignore[arg-type]


def _option(call: Call) -> tuple[str, float]:
    name, _, value = call.name.partition(" ")
    if name == _BINS:
        return name, _number(value, name, 2, _MOST_BINS, int)
    if name not in _GROWTH:
        raise unknown("option of trees", name, [*_GROWTH, _BINS])
    field, least, most, kind = _GROWTH[name]
    return field, _number(value, name, least, most, kind)
