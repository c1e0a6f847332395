"""Ways to make an input wrong: bytes, with their checksum made right again, texts, and values."""

from __future__ import annotations

import copy
import json
import random
import zlib
from collections.abc import Callable
from typing import Any

#: Values that JSON, TOML and Flower's records can hold and nobody expects.
JUNK: tuple[Any, ...] = (
    None, True, -1, 0, 1, 255, 1 << 31, 1 << 53, 1 << 63, -(1 << 63), 10**30, 0.5, -0.0, 1e300,
    float("inf"), float("-inf"), float("nan"), "", "x", "x" * 5000, "\x1b[2J", "\ud800", "../../x",
    [], [1, 2], [[]], ["x"], {}, {"x": 1}, [None] * 300,
)  # fmt: skip
_TOKENS = (
    "(", ")", "|", ",", ".", "-", "%", "0", "1", "-1", "1e999", "nan", "inf", "9" * 400, "1_0", "٣",
    " sigma", "auto", "raw", "''", '"', "\\", "\0", "\n", "x" * 300, "((" * 200, "=", "#", "[", "]",
    "0x10", "5%", "last", "first", "full",
)  # fmt: skip


def bytes_like(data: bytes, rng: random.Random) -> bytes:
    """Flip, cut, insert, zero, repeat or splice some bytes."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place, kind = rng.randrange(max(len(changed), 1)), rng.randrange(8)
        if kind == 0 and changed:
            changed[place] ^= 1 << rng.randrange(8)
        elif kind == 1 and changed:
            changed[place] = rng.choice((0, 1, 127, 128, 255))
        elif kind == 2:
            del changed[place : place + rng.randint(1, 8)]
        elif kind == 3:
            changed[place:place] = rng.randbytes(rng.randint(1, 8))
        elif kind == 4:
            changed[place : place + 4] = bytes(len(changed[place : place + 4]))
        elif kind == 5:
            changed[place:place] = b"\xff" * rng.randint(1, 10)  # a varint as long as it gets
        elif kind == 6 and rng.random() < 0.2:
            del changed[place:]
        else:
            end = place + rng.randint(1, 40)
            changed[place:place] = changed[place:end]
    return bytes(changed)


def sealed(
    seal: Callable[[bytes], bytes], width: int = 4
) -> Callable[[bytes, random.Random], bytes]:
    """Return a mutation of what ends in a checksum: it is right again in seven of eight."""

    def mutate(data: bytes, rng: random.Random) -> bytes:
        if rng.randrange(8) == 0:
            return bytes_like(data, rng)
        return seal(bytes_like(data[: len(data) - width], rng))

    return mutate


def with_crc(body: bytes) -> bytes:
    """Return bytes with their CRC-32 behind them, as frames have it."""
    return body + zlib.crc32(body).to_bytes(4, "little")


def text_like(text: str, rng: random.Random) -> str:
    """Drop, double, swap or insert tokens of a text, or put it into itself."""
    for _ in range(rng.randint(1, 3)):
        place, kind = rng.randrange(len(text) + 1), rng.randrange(5)
        if kind == 0:
            text = text[:place] + text[place + rng.randint(1, 5) :]
        elif kind == 1:
            text = text[:place] + rng.choice(_TOKENS) + text[place:]
        elif kind == 2:
            text = text[:place] + text[max(place - 12, 0) :]
        elif kind == 3:
            text = text.replace(rng.choice("0123456789(,|a"), rng.choice(_TOKENS), 1)
        else:
            text = text[:place] + text[: rng.randint(0, 60)] + text[place:]
    return text[:20_000]


def value_like(value: Any, rng: random.Random) -> Any:
    """Return a JSON value with one or two parts of it replaced, dropped or added."""
    value = copy.deepcopy(value)
    for _ in range(rng.randint(1, 2)):
        value = _one_change(value, rng)
    return value


def json_like(data: bytes, rng: random.Random) -> bytes:
    """Change JSON: its bytes, or its values, or nest it deeply."""
    kind = rng.randrange(10)
    if kind < 3:
        return bytes_like(data, rng)
    if kind == 3:
        return rng.choice((b"[" * 5000, b'{"a":' * 3000, b"1" * 5000, b"\xff\xfe", b"", b"1e999"))
    return json.dumps(value_like(json.loads(data), rng)).encode()


def _one_change(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        kind = rng.randrange(8)
        if kind == 0:
            del value[key]
        elif kind == 1:
            value[rng.choice(("x", key + "x", ""))] = rng.choice(JUNK)
        else:
            value[key] = _one_change(value[key], rng)
        return value
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = rng.randrange(len(value))
        value[place] = _one_change(value[place], rng)
        return value
    return copy.deepcopy(rng.choice(JUNK))
