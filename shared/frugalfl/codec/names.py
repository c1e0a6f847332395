"""A codec's text as few bytes inside a frame: known words become one byte each.

The text stays readable as text: what is not a known word is left in ASCII, without spaces.
``stochastic(24 sigma) | range`` is ``87 ( 2 4 C0 ) | A1``: 8 B. Written and read through the
``SHORT`` table of the registry.
"""

from __future__ import annotations

import re
from functools import lru_cache

from frugalfl.codec.registry import SHORT
from frugalfl.errors import FrameError

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]*|.")
_LONG = {byte: word for word, byte in SHORT.items()}
_ASCII = 0x80


@lru_cache(maxsize=64)
def shorten(text: str) -> bytes:
    """Return the bytes of a codec's text."""
    words = [word for word in _WORD.findall(text) if word != " "]
    return b"".join(bytes([SHORT[w]]) if w in SHORT else w.encode("ascii") for w in words)


def lengthen(data: bytes) -> str:
    """Return the text, as :func:`~frugalfl.codec.codec.parse_codec` reads it.

    Raises:
        FrameError: A byte stands for no word that is known here.
    """
    words = []
    for byte in data:
        if byte >= _ASCII and byte not in _LONG:
            raise FrameError(
                f"the frame names a codec link {byte:#x} that is not known here; upgrade"
            )
        words.append(f" {_LONG[byte]}" if byte in _LONG else chr(byte))
    return "".join(words)
