"""Finds and loads the compiled core.

ctypes, because one shared library then serves every Python, and a call costs a microsecond or two.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

#: The number that `FC_ABI` in shared/core/frugalfl_core.h must have.
ABI = 1
_NAMES = {"darwin": "libfrugalfl_core.dylib", "win32": "frugalfl_core.dll"}
_PATH = Path(__file__).with_name(_NAMES.get(sys.platform, "libfrugalfl_core.so"))


@cache
def _load() -> tuple[ctypes.CDLL | None, str]:
    """Return the library, or why there is none."""
    if os.environ.get("FRUGALFL_NATIVE") == "0":
        return None, "switched off by FRUGALFL_NATIVE=0"
    if not _PATH.exists():
        return None, "not compiled: install a C compiler and reinstall frugalfl"
    try:
        library = ctypes.CDLL(str(_PATH))
        found = int(library.fc_abi())
    except (OSError, AttributeError) as error:
        return None, f"{_PATH.name} does not load: {error}"
    if found != ABI:
        return None, f"{_PATH.name} is of another version ({found}, not {ABI}): reinstall frugalfl"
    return library, str(_PATH)


def core() -> ctypes.CDLL | None:
    """Return the compiled core; nothing if Python is to do the work."""
    return _load()[0]


def function(name: str, result: type | None, *arguments: type) -> Callable[..., int]:
    """Return a function of the core, which there must be; its types are set once, here."""
    library = core()
    assert library is not None
    found = library[name]  # a new object, so that nobody else's types change
    found.restype, found.argtypes = result, arguments
    return found


def state() -> str:
    """Return where the core is, or one line on why there is none."""
    return _load()[1]
