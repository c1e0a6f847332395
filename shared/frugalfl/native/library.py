"""Finds and loads the compiled core, from the package's own folder and from nowhere else.

ctypes, because one shared library then serves every Python, and a call costs a microsecond or two.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from .source import fingerprint

#: The number that `FC_ABI` in shared/core/frugalfl_core.h must have.
ABI = 1
_NAMES = {"darwin": "libfrugalfl_core.dylib", "win32": "frugalfl_core.dll"}
_PATH = Path(__file__).with_name(_NAMES.get(sys.platform, "libfrugalfl_core.so"))
#: The C files, in a checkout.
_CORE = Path(__file__).parents[2] / "core"


@cache
def _load() -> tuple[ctypes.CDLL | None, str]:
    """Return the library, or why there is none."""
    if os.environ.get("FRUGALFL_NATIVE") == "0":
        return None, "switched off by FRUGALFL_NATIVE=0"
    if not _PATH.exists():
        return None, f"not compiled: install a C compiler and {_again()}"
    try:
        library = ctypes.CDLL(str(_PATH))
        found, source = _number(library, "fc_abi"), _number(library, "fc_source")
    except (OSError, AttributeError) as error:
        return None, f"{_PATH.name} does not load: {error}; {_again()}"
    if found != ABI:
        return None, f"{_PATH.name} is of another version ({found}, not {ABI}): {_again()}"
    if _in_checkout() and source != fingerprint(_CORE):
        return None, f"{_PATH.name} was compiled from other C files than are here: {_again()}"
    return library, str(_PATH)


def _number(library: ctypes.CDLL, name: str) -> int:
    function = library[name]  # unlike an attribute, nobody else's: its type changes here alone
    function.restype = ctypes.c_uint32
    return int(function())


def _in_checkout() -> bool:
    return (_CORE / "frugalfl_core.h").exists()


def _again() -> str:
    """Return what compiles it anew; without pip's cache, which keeps wheels without a core too."""
    if _in_checkout():
        return f"python {_CORE / 'build.py'}"
    return "pip install --no-cache-dir --force-reinstall --no-deps frugalfl"


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
    """Return where the core is, or one line on why there is none and what to do."""
    return _load()[1]
