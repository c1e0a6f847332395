"""Test vectors for the core on other machines, made by the readable Python (check.h has the format)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from both_ways import in_python

from frugalfl.blocks import Layout
from frugalfl.codec import Limits, decode_frame, encode_frame, parse_codec
from frugalfl.codec import dithered as dithering
from frugalfl.codec.buffer import Reader
from frugalfl.codec.entropy import mix
from frugalfl.codec.entropy.rounding import round_shared
from frugalfl.codec.golomb import Golomb
from frugalfl.codec.links import Draws
from frugalfl.codec.range import Range
from frugalfl.codec.rans import Rans

GOLDEN = Path(__file__).parents[1] / "golden" / "frames"
RANS, DITHER, RANGE, GOLOMB, ROUND = range(5)
LANES = 0x40
#: Codecs of which random updates are coded too.
CODECS = (
    "dithered(2 sigma) | rans",
    "dyadic(20%) | rans",
    "dithered(0.2 sigma) | rans",
    "stochastic(4 sigma) | range",
    "nearest(1 sigma) | range",
    "topk(10%) | sign | golomb",
)


class Case(NamedTuple):
    """One vector.

    Attributes:
        kind: Which check it is for.
        parameters: 32-bit words.
        input: What the core is given.
        output: What it must return.
        made: All bytes that the check makes, one after the other.
    """

    kind: int
    parameters: Sequence[int]
    input: bytes
    output: bytes
    made: bytes


def golden() -> list[Case]:
    """Return what the coders of the golden frames are given, and the bytes."""
    cases = []
    for path in sorted(GOLDEN.glob("*.frame")):
        with np.load(path.with_suffix(".npz")) as values:
            layout = Layout.of({name: values[name] for name in values.files})
        cases += coded(
            lambda path=path, layout=layout: decode_frame(path.read_bytes(), Limits.of(layout))
        )
    return cases


def drawn(seed: int) -> list[Case]:
    """Return cases of random updates: coordinates of a subspace, and layers of a small model."""
    rng = np.random.default_rng(seed)
    updates = [
        {"coordinates": rng.standard_t(4, int(rng.integers(1, 1100)))},
        {"a": rng.standard_t(3, (int(rng.integers(1, 40)), 30)), "b": rng.standard_t(3, 17)},
    ]
    cases = []
    for codec in map(parse_codec, CODECS):
        for update in updates:
            scaled = {
                name: np.float32(2.0 ** rng.integers(-8, 3) * one) for name, one in update.items()
            }
            cases += coded(lambda codec=codec, scaled=scaled: both_ways(codec, scaled, seed))
    return cases


def laned() -> list[Case]:
    """Return a case of the range coder with so many nonzeros that they travel in lanes."""
    update = {"wide": np.float32(np.random.default_rng(1).standard_t(3, (220, 200)))}
    return coded(lambda: both_ways(parse_codec("nearest(0.5 sigma) | range"), update, 1))


def both_ways(codec: Any, update: dict[str, Any], seed: int) -> None:
    layout = Layout.of(update)
    frame, _ = encode_frame(codec, layout, update, base=None, version=1, seed=seed)
    decode_frame(frame, Limits.of(layout))


def rounded(seed: int) -> list[Case]:
    """Return values that were rounded with thresholds and dithers of a seed."""
    rng = np.random.default_rng(seed)
    values = np.float32(rng.standard_t(3, int(rng.integers(1, 400))) * 2.0 ** rng.integers(-9, 9))
    number, first = int(rng.integers(100, 255)), int(rng.integers(0, 1000))
    step = dithering._step_of(number)
    parameters = (*struct.unpack("<II", struct.pack("<d", step)), seed)
    words = mix(seed, values.size, first)
    symbols = dithering.dither([values], step, seed)[0]
    restored = dithering.undither([symbols], step, seed)[0]
    output = symbols.tobytes() + restored.tobytes()
    shared = round_shared(values, step, words).tobytes()
    return [
        Case(DITHER, (*parameters, 0), values.tobytes(), output, output),
        Case(ROUND, (*parameters, first), values.tobytes(), shared, shared),
    ]


def coded(work: Callable[[], object]) -> list[Case]:
    """Do something in Python; return what passed through the coders that the core has."""
    found: list[Case] = []
    with (
        in_python(),
        watched(Rans, _rans, found),
        watched(Range, _range, found),
        watched(Golomb, _golomb, found),
    ):
        work()
    return found


@contextmanager
def watched(coder: type, case: Callable[..., Case], found: list[Case]) -> Iterator[None]:
    """Have a coder's decoding noted."""
    plain = coder.decode

    def decode(self: Any, data: memoryview, shapes: Any, draws: Draws) -> Any:
        tensors = plain(self, data, shapes, draws)
        if len(data) > 1:  # an update of zeros is no bytes, or a count of 0
            found.append(case(bytes(data), tensors, draws))
        return tensors

    with mock.patch.object(coder, "decode", decode):
        yield


def _flat(tensors: Sequence[Any]) -> Any:
    return np.concatenate([tensor.ravel() for tensor in tensors]).astype("<i4")


def _rans(data: bytes, tensors: Sequence[Any], draws: Draws) -> Case:
    symbols = _flat(tensors)
    return Case(RANS, (symbols.size, draws.dithered, draws.seed), symbols.tobytes(), data, data)


def _range(data: bytes, tensors: Sequence[Any], draws: Draws) -> Case:
    sides = [(one.shape[0] if one.ndim > 1 else 1, one) for one in tensors]
    shapes = [side for rows, one in sides for side in (rows, one.size // rows if rows else 0)]
    symbols = _flat(tensors).tobytes()
    parameters = (len(tensors), draws.seed, draws.rounded, *shapes)
    return Case(RANGE, parameters, symbols, data, symbols + (b"" if data[0] & LANES else data))


def _golomb(data: bytes, tensors: Sequence[Any], draws: Draws) -> Case:
    symbols, reader = _flat(tensors), Reader(data)
    parameters = (symbols.size, reader.varint(symbols.size), reader.byte())
    stream = bytes(reader.rest())
    return Case(GOLOMB, parameters, symbols.tobytes(), stream, stream)


def small(case: Case) -> bool:
    """Return whether a microcontroller of 16 kB has room for a case."""
    symbols = np.frombuffer(case.input, "<i4")
    return case.kind == RANS and symbols.size <= 1100 and bool((abs(symbols) < 1 << 15).all())


def write(cases: Iterable[Case]) -> bytes:
    """Return a file of vectors."""
    parts = [struct.pack("<II", len(list(cases)), 0)]
    for case in cases:
        parameters = struct.pack(f"<{len(case.parameters)}I", *map(int, case.parameters))
        sections = (parameters, case.input, case.output)
        parts.append(struct.pack("<4I", case.kind, *map(len, sections)))
        parts += [section + bytes(-len(section) % 8) for section in sections]
    return b"".join(parts)


def digest(cases: Iterable[Case]) -> int:
    """Return FNV-1a (32 bits) of all that the cases' checks make."""
    number = 2166136261
    for case in cases:
        for byte in case.made:
            number = (number ^ byte) * 16777619 & 0xFFFFFFFF
    return number
