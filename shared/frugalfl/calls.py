"""The little language of our settings: ``name`` or ``name(argument, ...)``, nested.

Refresh plans (``alternate(full, last(2))``) are calls; codecs (``topk(1%) | sign | golomb``) are
chains of them. An argument may be a chain itself.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from frugalfl.errors import UsageError

#: A word may be a shell pattern: ``frozen(encoder.*)``.
_TOKEN = re.compile(r"\s*([A-Za-z_*?\[][A-Za-z0-9_.*?!\[\]-]*|[0-9.][^\s,()|]*|[(),|])")
#: A whole number has no more digits: longer ones fit no float.
_MOST_DIGITS = 10
_MAX_DEPTH = 8
_PIPE = "|"
_DIGITS = "0123456789."


@dataclass(frozen=True)
class Call:
    """One parsed ``name(arguments)``.

    An argument is a word, a number as text, both (``24 sigma``, ``momentum 0.9``), or another call.
    A chain of calls is a call too: its name is ``|``, its links are the arguments.
    """

    name: str
    arguments: tuple[Call, ...] = ()

    @property
    def links(self) -> tuple[Call, ...]:
        """The calls of a chain; of any other call, itself alone."""
        return self.arguments if self.name == _PIPE else (self,)

    def __str__(self) -> str:
        if self.name == _PIPE:
            return " | ".join(map(str, self.arguments))
        return (
            f"{self.name}({', '.join(map(str, self.arguments))})" if self.arguments else self.name
        )


def parse_call(text: str) -> Call:
    """Read one call.

    >>> parse_call("alternate(full, last(2))").arguments[1]
    Call(name='last', arguments=(Call(name='2', arguments=()),))

    Raises:
        UsageError: The text is not one call.
    """
    call = parse_chain(text)
    if call.name == _PIPE:
        raise UsageError(f"cannot read {text!r}: {_PIPE!r} is left over")
    return call


def parse_chain(text: str) -> Call:
    """Read one call, or several with ``|`` between them.

    >>> [call.name for call in parse_chain("topk(1%) | sign | golomb").links]
    ['topk', 'sign', 'golomb']

    Raises:
        UsageError: The text is not a chain of calls.
    """
    tokens, end = [], 0
    while end < len(text.rstrip()):
        match = _TOKEN.match(text, end)
        if match is None:
            raise UsageError(
                f"cannot read {text!r} at {text[end:]!r}; write name or name(argument)"
            )
        tokens.append(match.group(1))
        end = match.end()
    chain, rest = _parse_links(tokens, text, 0)
    if rest:
        raise UsageError(f"cannot read {text!r}: {rest[0]!r} is left over")
    return chain


def _parse_links(tokens: list[str], text: str, depth: int) -> tuple[Call, list[str]]:
    call, rest = _parse(tokens, text, depth)
    links = [call]
    while rest and rest[0] == _PIPE:
        call, rest = _parse(rest[1:], text, depth)
        links.append(call)
    return (call if len(links) == 1 else Call(_PIPE, tuple(links))), rest


def _number_beside_word(one: str, other: str) -> bool:
    return (one[0] in _DIGITS and other[0].isalpha()) or (one[0].isalpha() and other[0] in _DIGITS)


def _parse(tokens: list[str], text: str, depth: int) -> tuple[Call, list[str]]:
    if depth > _MAX_DEPTH or not tokens or tokens[0] in "(),|":
        raise UsageError(f"cannot read {text!r}; write name or name(argument, argument)")
    name, rest = tokens[0], tokens[1:]
    if rest and _number_beside_word(name, rest[0]):
        name, rest = f"{name} {rest[0]}", rest[1:]  # 24 sigma, or momentum 0.9
    if not rest or rest[0] != "(":
        return Call(name), rest
    arguments: list[Call] = []
    while rest and rest[0] in "(,":
        argument, rest = _parse_links(rest[1:], text, depth + 1)
        arguments.append(argument)
    if not rest or rest[0] != ")":
        raise UsageError(f"cannot read {text!r}: a ')' is missing")
    return Call(name, tuple(arguments)), rest[1:]


def arity(call: Call, least: int, most: int | None = None) -> None:
    """Refuse a call with fewer than ``least`` or more than ``most`` (by default: least) arguments.

    Raises:
        UsageError: The number of arguments is outside the range.
    """
    most = least if most is None else most
    if not least <= len(call.arguments) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise UsageError(
            f"{call.name!r} takes {wanted} arguments, not {len(call.arguments)}: {call}"
        )


def fraction(call: Call, what: str) -> float:
    """Read a share such as ``1%`` or ``0.01``, in (0, 1].

    Raises:
        UsageError: Not a number, or outside (0, 1].
    """
    text = call.name
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise UsageError(f"{what} takes a share such as 1% or 0.01, not {text!r}") from None
    if not 0 < value <= 1:
        raise UsageError(f"{what} takes a share above 0 and at most 100%, not {text!r}")
    return value


def below_one(text: str, what: str) -> float:
    """Read a number above 0 and below 1.

    Raises:
        UsageError: Anything else.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise UsageError(f"{what} takes a number above 0 and below 1, not {text!r}")
    return value


def whole(call: Call, what: str) -> int:
    """Read a whole number, at least 1 and of ten digits at most.

    Raises:
        UsageError: Anything else.
    """
    text = call.name
    if not text.isdecimal() or len(text) > _MOST_DIGITS or int(text) < 1:
        raise UsageError(f"{what} takes a whole number of at least 1, not {text[:40]!r}")
    return int(text)


def unknown(what: str, name: str, known: Iterable[str]) -> UsageError:
    """Make the error for a name that is not known, with the nearest one that is."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
    return UsageError(f"unknown {what} {name!r}; {hint}")
