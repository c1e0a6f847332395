"""Texts that came from another machine or another's file, made fit for the place they are shown.

Whoever sends a text may mean it for the terminal, the spreadsheet or the file system of the person
who reads it: escape codes that move the cursor, letters that turn the reading direction around or
take no room, cells that are formulas, names that climb out of a folder. What is shown goes through
:func:`printable` right there, where it is shown, so that no way to that place is forgotten. In
HTML, Jinja escapes on top of that; in Rich's markup texts are given as ``Text`` or without markup.
"""

from __future__ import annotations

import re
import unicodedata

#: Longest text of another machine that is kept and shown (characters).
MOST_LETTERS = 300
#: Longest line that is shown at all, our own words and another's (characters).
MOST_OF_A_LINE = 2000
#: Letters that Unicode counts as printable and that take no room: a reader sees nothing of them.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
#: The number of a client, and what a client itself says that it is.
_NAMED_TWICE = re.compile(r"\b(client (\d+)\b[^:]{0,60}: )client \2 of \d+: ")
#: More accents than that on one letter cover the lines above and below.
_MOST_ACCENTS = 2
#: What makes a spreadsheet compute a cell, after the separators that some countries' have.
_FORMULA = re.compile(r"(^|;)(\s*)([=+\-@\uff0b\uff0d\uff1d\uff20])")
#: Longest name of a file that is made of another's text (characters).
_MOST_OF_A_NAME = 80
#: Names of devices on some systems, whatever stands behind their first dot.
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def printable(text: str, most: int = MOST_LETTERS) -> str:
    r"""Return a text as one line that does nothing but stand there.

    Every character that is no letter, digit, sign or plain space becomes a space: line breaks,
    control characters (also those from 0x80 to 0x9f), changes of the reading direction, and letters
    without width. Accents on one letter are at most two.

    Args:
        text: Any text.
        most: Longest that is returned; a longer one ends with ``...``.

    >>> printable("a\x1b[31mb\nc"), printable("\u202eabc")
    ('a [31mb c', ' abc')
    """
    shown = text[: most + 1]
    if not (shown.isascii() and shown.isprintable()):
        shown = _INVISIBLE.sub(" ", shown)
        shown = "".join(letter if letter.isprintable() else " " for letter in shown)
        shown = _with_few_accents(shown)
    return shown if len(text) <= most else f"{shown[: most - 3]}..."


def is_printable(text: str) -> bool:
    """Say whether a text may be shown as it is: :func:`printable` would change none of it."""
    if text.isascii() and text.isprintable():
        return True  # as nearly all are
    return printable(text, len(text)) == text


def named_once(text: str) -> str:
    """Return a line about a client that names it once: what the client says of itself does, too.

    >>> named_once("client 2 (node 7): client 2 of 4: targets hold NaN")
    'client 2 (node 7): targets hold NaN'
    """
    return _NAMED_TWICE.sub(r"\1", text)


def _with_few_accents(text: str) -> str:
    kept, accents = [], 0
    for letter in text:
        accents = accents + 1 if unicodedata.category(letter) in ("Mn", "Me") else 0
        if accents <= _MOST_ACCENTS:
            kept.append(letter)
    return "".join(kept)


def for_csv(value: object) -> object:
    """Return a cell that no spreadsheet computes; numbers stay numbers, also negative ones.

    >>> for_csv("=1+1"), for_csv("@x;-2"), for_csv(-0.5), for_csv(None)
    ("'=1+1", "'@x;'-2", -0.5, None)
    """
    if not isinstance(value, str):
        return value
    return _FORMULA.sub(r"\1\2'\3", printable(value))


def for_file_name(text: str) -> str:
    """Return a text as one name of a file or folder, on every system; never empty.

    >>> for_file_name("../../etc/passwd"), for_file_name("Digits 8x8"), for_file_name("nul.txt")
    ('etc-passwd', 'Digits-8x8', '_nul.txt')
    """
    name = re.sub(r"[^\w.-]+", "-", printable(text), flags=re.ASCII).strip("-.")
    name = re.sub(r"-?\.\.+-?", "-", name)[:_MOST_OF_A_NAME].strip("-.") or "unnamed"
    return f"_{name}" if _RESERVED.fullmatch(name) else name
