"""Python's search for cycles of garbage, kept out of the way of ten thousand clients.

A round makes some ten thousand objects that stay: records of energy, and who is who. Python looks
through all objects whenever there are so many new ones, PyTorch's half a million among them, and
finds nothing: 1.2 s of processor time in nine rounds of 500 clients, 0.03 s with this. What is not
part of a cycle is freed at once, as ever.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

#: New objects after which the young ones are looked through; a cycle waits so long at most.
_YOUNG = 50_000


@contextmanager
def rare_collections() -> Iterator[None]:
    """Look for garbage seldom, and not among what is there already, while the block lasts."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_YOUNG, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
