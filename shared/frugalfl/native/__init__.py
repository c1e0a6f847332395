"""The compiled core (`shared/core`), if there is one; without it Python computes the same bytes.

``FRUGALFL_NATIVE=0`` in the environment leaves it alone.
"""

from .library import ABI, core, state

__all__ = ["ABI", "core", "state"]
