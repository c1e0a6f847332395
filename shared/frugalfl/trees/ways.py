"""How clients grow trees together, as the setting ``trees`` writes it: ``bagging(20)``.

    bagging(n)    in every round each client grows n trees; the server weighs them by rows
    cyclic(n)     clients take turns, one a round, n trees each
    histogram(n)  n trees in all, grown from sums of the clients' histograms

Options follow the number: ``bagging(20, rate 0.05, leaves 15)``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from frugalfl.calls import Call, parse_call, unknown, whole
from frugalfl.errors import UsageError

BAGGING, CYCLIC, HISTOGRAM = "bagging", "cyclic", "histogram"
#: What a server asks for before the first round.
SKETCH = "sketch"
_MOST_TREES, _MOST_LEAVES, _MOST_BINS = 10_000, 256, 255


@dataclass(frozen=True)
class Way:
    """A checked way of growing trees.

    Attributes:
        name: :data:`BAGGING`, :data:`CYCLIC` or :data:`HISTOGRAM`.
        trees: Of a client and round; of ``histogram`` in all.
        rate: Learning rate: what a leaf's value is multiplied by.
        leaves: Most leaves of a tree.
        rows: Least rows of a leaf.
        l2: Added to the sum of hessians in a leaf's value.
        bins: Most bins of a feature.
    """

    name: str
    trees: int
    rate: float = 0.1
    leaves: int = 31
    rows: int = 20
    l2: float = 0.0
    bins: int = 64

    def __str__(self) -> str:
        return (
            f"{self.name}({self.trees}, rate {self.rate:g}, leaves {self.leaves}, "
            f"rows {self.rows}, l2 {self.l2:g}, bins {self.bins})"
        )


def _number(text: str, what: str, least: float, most: float, kind: Callable[[str], float]) -> float:
    try:
        value = kind(text)
    except ValueError:
        value = -1.0
    if not least <= value <= most:
        raise UsageError(f"trees: {what} takes a number from {least:g} to {most:g}, not {text!r}")
    return value


#: Options: least and most value, and how it is read.
_OPTIONS: dict[str, tuple[float, float, Callable[[str], float]]] = {
    "rate": (1e-4, 1.0, float),
    "leaves": (2, _MOST_LEAVES, int),
    "rows": (1, 1_000_000, int),
    "l2": (0.0, 1e6, float),
    "bins": (2, _MOST_BINS, int),
}


def parse_way(text: str) -> Way | None:
    """Read the setting; empty: no trees, ``None``.

    >>> parse_way("bagging(20, leaves 15)").leaves
    15

    Raises:
        UsageError: An unknown way or option, or a number out of range.
    """
    if not text:
        return None
    call = parse_call(text)
    if call.name not in (BAGGING, CYCLIC, HISTOGRAM):
        raise unknown("way of growing trees", call.name, (BAGGING, CYCLIC, HISTOGRAM))
    if not call.arguments:
        raise UsageError(f"trees: {call.name} takes a number of trees, such as {call.name}(20)")
    count = whole(call.arguments[0], call.name)
    if count > _MOST_TREES:
        raise UsageError(f"trees: {count} trees are too many; at most {_MOST_TREES:,}")
    return Way(call.name, count, **dict(map(_option, call.arguments[1:])))  # type: ignore[arg-type]


def _option(call: Call) -> tuple[str, float]:
    name, _, value = call.name.partition(" ")
    if name not in _OPTIONS:
        raise unknown("option of trees", name, _OPTIONS)
    return name, _number(value, name, *_OPTIONS[name])
