"""One decoder and what is thrown at it; whatever gets out of it but a refusal is a fault."""

from __future__ import annotations

import random
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from frugalfl.errors import FrugalFLError

#: Of so many inputs the memory of one is looked at: to look makes it ten times slower.
_LOOK_EVERY = 211


@dataclass(frozen=True)
class Decoder:
    """Something that reads what others wrote.

    Attributes:
        name: Of the table's row.
        samples: What it reads as it should be.
        mutate: Makes an input of a sample, wrong more often than not.
        decode: Reads it; what it returns is looked at by itself.
        weight: How many inputs it gets, next to the others.
        most_bytes: Memory that one input may take (B).
        most_cpu_s: Processor time that one input may take (s); generous, it is to find what hangs.
    """

    name: str
    samples: Sequence[Any]
    mutate: Callable[[Any, random.Random], Any]
    decode: Callable[[Any], object]
    weight: float = 1.0
    most_bytes: int = 4_000_000
    most_cpu_s: float = 5.0


@dataclass
class Thrown:
    """What came of it.

    Attributes:
        inputs: How many were thrown.
        refused: How many were refused, each in one line.
        faults: One line for each kind of thing that went wrong, with the input's seed.
        peak_bytes: Most memory that one took, of those that were looked at (B).
        slowest_s: Most processor time of one (s).
    """

    inputs: int = 0
    refused: int = 0
    faults: dict[str, str] = field(default_factory=dict)
    peak_bytes: int = 0
    slowest_s: float = 0.0


def throw(decoder: Decoder, count: int, seed: int) -> Thrown:
    """Throw inputs at a decoder; each depends on the seed and its own number only."""
    thrown = Thrown()
    for sample in decoder.samples:
        decoder.decode(sample)  # as it should be, it is read
    for number in range(count):
        name = f"{decoder.name}-{seed}-{number}"
        rng = random.Random(name)
        data = decoder.mutate(decoder.samples[number % len(decoder.samples)], rng)
        looked = number % _LOOK_EVERY == 0
        if looked:
            tracemalloc.start()
        began_s = time.thread_time()
        _try(decoder, data, name, thrown)
        took_s = time.thread_time() - began_s
        if looked:
            thrown.peak_bytes = max(thrown.peak_bytes, tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        elif took_s > thrown.slowest_s:
            thrown.slowest_s = took_s
    thrown.inputs = count
    if thrown.peak_bytes > decoder.most_bytes:
        thrown.faults["memory"] = f"{decoder.name}: one input took {thrown.peak_bytes:,} B"
    if thrown.slowest_s > decoder.most_cpu_s:
        thrown.faults["time"] = f"{decoder.name}: one input took {thrown.slowest_s:.1f} s"
    return thrown


def _try(decoder: Decoder, data: Any, name: str, thrown: Thrown) -> None:
    try:
        decoder.decode(data)
    except FrugalFLError as error:
        thrown.refused += 1
        text = str(error)
        if not text or "\n" in text.strip():
            kind = f"{type(error).__name__} of several lines"
            thrown.faults.setdefault(kind, f"{name}: {kind}: {text[:200]!r}")
    except Exception as error:
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = "" if place is None else f"{place.tb_frame.f_code.co_qualname}:{place.tb_lineno}"
        kind = f"{type(error).__name__} in {where}"
        thrown.faults.setdefault(kind, f"{name}: {kind}: {error!s:.150}")
