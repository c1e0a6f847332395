"""The grid of a sweep, as it is typed: ``seed=1..5 learning-rate=0.01,0.05``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product

from frugalfl.errors import UsageError
from frugalfl.settings import takes_text

#: Short for a longer key.
_SHORT = {"codec": "uplink"}
_RANGE = re.compile(r"(-?\d{1,9})\.\.(-?\d{1,9})(?:\.\.(\d{1,9}))?")
#: More runs than this are a slip of the finger.
MOST_POINTS = 10_000
#: One key with its value, as it is typed.
Change = tuple[str, str]


def read_grid(words: Sequence[str]) -> list[tuple[Change, ...]]:
    """Return the combinations of a grid; the last key changes fastest.

    >>> read_grid(["uplink=nearest(4) | zstd,none", "seed=1..2"])[1]
    (('uplink', 'nearest(4) | zstd'), ('seed', '2'))

    Raises:
        UsageError: A word is no ``key=values``, a key or a value comes twice, a range is empty, or
            there are too many combinations.
    """
    axes: dict[str, list[str]] = {}
    count = 1
    for word in words:
        key, values = read_axis(word)
        if key in axes:
            raise UsageError(f"{key} is given twice; write its values once, with commas")
        axes[key] = values
        count *= len(values)
        if count > MOST_POINTS:
            raise UsageError(f"the grid has more than {MOST_POINTS:,} combinations; {key} is one")
    return [tuple(zip(axes, values, strict=True)) for values in product(*axes.values())]


def read_axis(word: str) -> tuple[str, list[str]]:
    """Return a key and its values.

    >>> read_axis("codec=topk(1%, 4) | sign, zstd")
    ('uplink', ['topk(1%, 4) | sign', 'zstd'])
    >>> read_axis("rounds=10..30..10")
    ('rounds', ['10', '20', '30'])

    Raises:
        UsageError: As :func:`read_grid`.
    """
    key, equals, text = word.partition("=")
    if not equals or not key:
        raise UsageError(f"{word!r} is not of the form key=value,value or key=1..5")
    key = _SHORT.get(key, key)
    values = [one for part in split_values(key, text) for one in _counted(key, part)]
    for place, value in enumerate(values):
        if value in values[:place]:
            raise UsageError(f"{key} has the value {value} twice")
    return key, values


def split_values(key: str, text: str) -> list[str]:
    """Split at commas that are in no brackets and in no quotes.

    Raises:
        UsageError: A value is empty, or a bracket or a quote is not closed.
    """
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if letter == "," and not depth and not quote:
            parts.append("")
            continue
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        else:
            depth = max(0, depth + (letter in "([") - (letter in ")]"))
        parts[-1] += letter
    if quote or depth:
        raise UsageError(f"{key}={text} has a {quote or 'bracket'} that is not closed")
    values = [part.strip() for part in parts]
    if "" in values and len(values) > 1:
        raise UsageError(f'{key}={text} has an empty value; write it as ""')
    return values


def _counted(key: str, value: str) -> list[str]:
    """Return the numbers of a range, or the value itself."""
    found = None if takes_text(key) else _RANGE.fullmatch(value)
    if found is None:
        return [value]
    first, last, step = int(found[1]), int(found[2]), int(found[3] or 1)
    if first > last or not step:
        raise UsageError(f"{key}={value} holds no number; write it as {last}..{first}, or so")
    if (last - first) // step >= MOST_POINTS:
        raise UsageError(f"{key}={value} holds more than {MOST_POINTS:,} numbers")
    return list(map(str, range(first, last + 1, step)))
