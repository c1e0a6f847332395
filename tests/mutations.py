"""Replies and requests as nobody of ours would send them, each wrong by construction."""

import zlib

import numpy as np
import zstandard
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord

from frugalfl.codec.buffer import Reader, varint
from frugalfl.energy import packed_records
from frugalfl.wire import STYPE


def sealed(body):
    """Put the checksum behind it that a frame has to have."""
    return bytes(body) + zlib.crc32(bytes(body)).to_bytes(4, "little")


def damaged(data, rng):
    """Flip, cut, insert, zero or splice some bytes; never what it was."""
    frame = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        place = int(rng.integers(0, max(len(frame), 1)))
        kind = rng.integers(0, 6)
        if kind == 0 and frame:
            frame[place] ^= int(rng.integers(1, 256))
        elif kind == 1:
            del frame[place : place + int(rng.integers(1, 9))]
        elif kind == 2:
            frame[place:place] = rng.bytes(int(rng.integers(1, 9)))
        elif kind == 3:
            frame[place : place + 4] = rng.bytes(len(frame[place : place + 4]))
        elif kind == 4:
            del frame[place:]
        else:
            frame += frame[place:]
    return bytes(frame) if bytes(frame) != data else data + b"\0"


class Parts:
    """A frame taken apart, to be put together wrongly."""

    def __init__(self, data):
        reader = Reader(data)
        self.start = bytes(reader.bytes(3))
        self.base = reader.varint(1 << 41)
        self.ahead = reader.varint(1 << 41)
        self.seed = reader.varint(1 << 32)
        self.text = bytes(reader.bytes(reader.varint(255)))
        outline = reader.position
        self.outline = bytes(memoryview(data)[outline:-4])
        self.data = data

    def bytes(self):
        """Return the frame, with a right checksum."""
        return sealed(
            self.start + varint(self.base) + varint(self.ahead) + varint(self.seed)
            + varint(len(self.text)) + self.text + self.outline
        )  # fmt: skip


def lying(data, rng):
    """Return a frame that is wrong in one field, with a right checksum."""
    parts = Parts(data)
    kind = rng.integers(0, 9)
    if kind == 0:
        parts.base += int(rng.choice([1, 2, 1000, 1 << 40]))
    elif kind == 1 and parts.base:
        parts.base -= 1
    elif kind == 1:
        parts.ahead += 1
    elif kind == 2:
        parts.text = bytes(rng.bytes(int(rng.integers(1, 20)))) + b"|"
    elif kind == 3:
        parts.start = parts.start[:2] + bytes([int(rng.integers(2, 256))])
    elif kind == 4:  # other blocks
        parts.outline = bytes([parts.outline[0] ^ int(rng.integers(1, 128))]) + parts.outline[1:]
    elif kind == 5:  # a shape as long as it gets
        place = int(rng.integers(1, 12))
        huge = varint(int(rng.integers(1 << 20, 1 << 60)))
        parts.outline = parts.outline[:place] + huge + parts.outline[place:]
    elif kind == 6:  # a payload that ends too early, and says so
        return sealed(data[: -4 - int(rng.integers(1, 40))])
    elif kind == 7:
        return data + data
    else:
        parts.seed = (1 << 32) + int(rng.integers(0, 1 << 20))
    return parts.bytes()


def numberless(data, rng):
    """Put numbers that are none, or beyond all measure, into a frame that ends in float32."""
    body = bytearray(data[:-4])
    worst = rng.choice(np.array([np.nan, np.inf, -np.inf, 3e38, -1e25], np.float32))
    body[-4:] = np.float32(worst).tobytes()
    return sealed(body)


def bombs():
    """Return energy records that unpack to a lot, or nest deeply."""
    dictionary = packed_records._DICTIONARY
    texts = [
        b"0" * 50_000_000, b"[" * 200_000, b'{"all":' * 50_000,
        b'{"all":{},"each":[' + b"{}," * 100_000 + b"{}]}", b"9" * 200_000, b"null", b'"x"',
    ]  # fmt: skip
    made = []
    for text in texts:
        deflater = zlib.compressobj(9, zdict=dictionary)
        made.append(deflater.compress(text) + deflater.flush())
    return made


def zstd_bomb(data, rng):
    """Return a frame whose payload says it is as long as it should be, and is not."""
    parts = Parts(data)
    parts.text = b"zstd"
    reader = Reader(data)
    for _ in range(3):
        reader.bytes(1)
    size = int(rng.choice([1 << 16, 1 << 24]))
    payload = b"\x04" + zstandard.ZstdCompressor(level=9).compress(bytes(size))
    end = len(parts.outline) - len(_payload_of(parts.outline))
    parts.outline = parts.outline[:end] + varint(len(payload)) + payload
    return parts.bytes()


def _payload_of(outline):
    """Return length and payload at the end of what follows the codec's text."""
    for start in range(len(outline)):
        reader = Reader(memoryview(outline)[start:])
        try:
            length = reader.varint(1 << 30)
        except Exception:
            continue
        if len(reader) == length and length > 8:
            return outline[start:]
    raise AssertionError("this frame has no payload")


BOMBS = bombs()
#: What a number may not be. Of rows, losses, versions.
WRONG = [
    -1, -(1 << 62), 1 << 62, float("nan"), float("inf"), -float("inf"), 1e300, [1], [1.0, 2.0], [],
]  # fmt: skip
_JUNK = [b"", b"\0" * 32, "x" * 5000, True, -1, 1 << 60, float("nan"), ["x"], [b"y"], [1, 2]]


def reply_like(content, rng):
    """Change a reply's content in place, so that it is wrong; return what was done."""
    arrays, metrics, ledger = content["arrays"], content["metrics"], content["ledger"]
    frames = arrays["frames"]
    kind = int(rng.integers(0, 12))
    if kind == 0:
        frames.data = damaged(frames.data, rng)
    elif kind in (1, 2):
        frames.data = lying(frames.data, rng)
    elif kind == 3:
        frames.data = numberless(frames.data, rng)
    elif kind == 4:
        frames.data = zstd_bomb(frames.data, rng)
    elif kind == 5:
        frames.stype = str(rng.choice(["numpy.ndarray", "", "frugalfl.frames.v2", STYPE + "x"]))
    elif kind == 6:
        name = str(rng.choice(["num-examples", "train-loss"]))
        metrics[name] = _one(rng, [x for x in WRONG if name != "train-loss" or x not in _LOSSES])
    elif kind == 7:
        del content[str(rng.choice(["arrays", "metrics", "ledger"]))]
    elif kind == 8:
        record = _one(rng, [metrics, metrics, arrays])
        del record[_one(rng, [k for k in record if k not in ("accuracy", "scored")])]
    elif kind == 9:
        name = str(rng.choice(["arrays", "metrics", "ledger"]))
        others = [ArrayRecord(), MetricRecord({"x": 1}), ConfigRecord({"x": "y"})]
        other = _one(rng, [o for o in others if type(o) is not type(content[name])])
        del content[name]  # Flower logs every record that is overwritten
        content[name] = other
    elif kind == 10:
        ledger["records"] = _one(rng, [*BOMBS, damaged(ledger["records"], rng) or b"x"])
    else:
        name = str(rng.choice(["notice", "trainer", "programs", "link", "battery", "hash"]))
        junk = {
            "notice": [3, b"x", [1], "x" * 5000], "link": [3, b"x", ["x"], "x" * 5000],
            "trainer": ["jax", 3, b"torch", "x" * 9000],
            "programs": ["x", [1], ["x"], ["0" * 63], ["0" * 64] * 257],
            "battery": [-1, 101, "full", float("nan")], "hash": [b"", "x", b"\0" * 31, 4],
        }[name]  # fmt: skip
        ledger[name] = _one(rng, junk)
        if name in ("battery", "hash"):
            ledger.setdefault("charging", False)
            ledger.setdefault("number", 1)
    return kind


#: Odd, but finite: a loss may be these.
_LOSSES = (-1, 1, [1])


def request_like(content, rng):
    """Change a request's content in place, so that it is wrong."""
    arrays, config = content["arrays"], content["config"]
    frames = arrays["frames"]
    kind = int(rng.integers(0, 8))
    if kind <= 2:
        whole = frames.data
        frames.data = (damaged if kind == 0 else lying)(whole, rng)
        if frames.data == whole * 2:  # frames one after the other are what a request may hold
            frames.data += whole[:-1]
    elif kind == 3:
        frames.stype = "numpy.ndarray"
    elif kind == 4:
        del content[str(rng.choice(["arrays", "config"]))]
    elif kind == 5:
        del config[_one(rng, ["run", "round", "base", "version", "blocks", "uplink"])]
    elif kind == 6:
        name = str(rng.choice(["run", "round", "version", "blocks", "uplink", "epochs"]))
        config[name] = _one(rng, [x for x in _JUNK if not (name == "run" and x == "x" * 5000)])
        if name == "run":
            config[name] = _one(rng, [1, b"x", ["x"], "x" * 5000])
        elif name == "blocks":
            config[name] = _one(rng, [[], [0, 0], [-1], [99], ["x"], "x", [1 << 40], [1.5]])
        elif name == "uplink":
            config[name] = _one(rng, ["", "gzip", "raw | raw", "x" * 5000, "topk(", 3, b"raw"])
        elif name == "epochs":
            config[name] = _one(rng, [-1, 1 << 30, 1.5, "x"])
        elif name == "round":
            config[name] = _one(rng, [-1, 1 << 50, 1.5, "x", [1]])
        else:
            config[name] = _one(rng, [-1, 0, 1 << 50, 1.5, "x", [1]])
    else:
        name = _one(rng, ["program", "proximal-mu"])
        if name == "program":
            config[name] = _one(rng, [3, b"x"])
            arrays["program"] = Array(dtype="uint8", shape=(1,), stype="other", data=b"x")
        else:
            config[name] = _one(rng, [-1.0, float("nan"), float("inf"), "x", [1.0]])


def _one(rng, choices):
    return choices[int(rng.integers(0, len(choices)))]
