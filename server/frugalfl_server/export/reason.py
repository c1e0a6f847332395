"""Another library's exception as the end of one of our one-line messages."""

from __future__ import annotations


def reason_of(error: BaseException) -> str:
    r"""Return the exception's type and the first line of what it says.

    >>> reason_of(ValueError("no such layer\nstack of a compiler ..."))
    'ValueError: no such layer'
    """
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
