"""Decoders of messages: what Flower's records hold, folded or not, energy, counters, programs."""

from __future__ import annotations

import copy
import hashlib
import random
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from frugalfl import program_file, wire
from frugalfl.energy import EnergyRecord, Head, packed_records
from frugalfl.energy.reading import Reading
from frugalfl.fold_message import fold, unfold
from frugalfl.program import Mask, Program, Tensor, from_bytes, to_bytes
from frugalfl.sums import Table, pack_tables, unpack_tables
from fuzzing.decoder import Decoder
from fuzzing.mutate import JUNK, bytes_like, json_like, sealed, with_crc

_READING = Reading("cpu", 1.5, None, False, "cpu-time", "generic", "process", 0.5)
_RECORDS = tuple(
    EnergyRecord(
        run="r", client="3", round=4, phase=phase, device="generic", start_unix_s=1.7e9,
        wall_s=2.0, cpu_s=1.0, readings=(_READING,), samples=9, correct=None, uplink_bytes=7,
        downlink_bytes=8, contacts=1, link="wifi", grid=None, software="x",
    )
    for phase in ("download", "train", "upload")
)  # fmt: skip
_HEAD = Head(12, b"\1" * 32)


def decoders() -> Iterator[Decoder]:
    """Yield them."""
    TaskIdentity.run_id = TaskIdentity.task_id = TaskIdentity.node_id = 1
    digest = "0" * 64
    sent: dict[str, tuple[RecordDict, Callable[[Message], object]]] = {
        "train request": (
            wire.pack_request(wire.TrainRequest(
                "r", 3, -1, 4, (0, 1), b"frames", "raw", 0.1, 2, digest, b"file", (1, 2))),
            wire.unpack_request,
        ),
        "train reply": (
            wire.pack_reply(wire.TrainReply(
                4, b"frame", 30, 0.5, _RECORDS, _HEAD, link="wifi", notice="x", accuracy=0.5,
                scored=4, trainer=wire.LITERT, programs=(digest,))),
            wire.unpack_reply,
        ),
        "calibrate request": (
            wire.pack_calibrate_request(wire.CalibrateRequest("r", 3, -1, 4, b"frames", 99.0)),
            wire.unpack_calibrate_request,
        ),
        "calibrate reply": (
            wire.pack_calibrate_reply(wire.CalibrateReply(
                4, np.ones((5, 2), np.float32), _RECORDS, _HEAD)),
            wire.unpack_calibrate_reply,
        ),
        "counters request": (
            wire.pack_counters_request(wire.CountersRequest("r", b"sums")),
            wire.unpack_counters_request,
        ),
        "counters reply": (
            wire.pack_counters_reply(wire.CountersReply(b"tables", _RECORDS, _HEAD, "wifi")),
            wire.unpack_counters_reply,
        ),
        "trees request": (
            wire.pack_trees_request(wire.TreesRequest("r", 3, -1, 4, b"parcel", "refit(4)", (2,))),
            wire.unpack_trees_request,
        ),
        "trees reply": (
            wire.pack_trees_reply(wire.TreesReply(4, b"frame", 30, 0.5, _RECORDS, _HEAD)),
            wire.unpack_trees_reply,
        ),
    }  # fmt: skip
    for name, (content, unpack) in sent.items():
        yield Decoder(name, [content, fold(content)], records_like, _as_message(unpack), 3)
    yield Decoder("folded message", [fold(sent["train reply"][0])], records_like, unfold, 3)
    yield Decoder("energy bundle", [packed_records.pack(_RECORDS)], _bundle_like, _energy_of, 3)
    keys = np.array([1, 5, 900], np.uint32)
    tables = {"a": Table(keys, np.arange(12, dtype=np.uint32).reshape(3, 4)),
              "b": Table(keys, np.eye(3, 40, dtype=np.uint32))}  # fmt: skip
    yield Decoder("counters' tables", [pack_tables(tables)], sealed(with_crc), unpack_tables, 4)
    program = Program(
        b"model" * 20, 4, (1, 8, 8), (), (Tensor("w", (3, 4), True),), (), False,
        (Mask((4, 3), 0.5),), 10,
    )  # fmt: skip
    yield Decoder("training program", [to_bytes(program)], _program_like, from_bytes, 3)
    yield Decoder(
        "training program's file", [program_file.pack(program)], bytes_like,
        lambda file: program_file.unpack(file, program_file.digest_of(file)), 2,
    )  # fmt: skip


def records_like(content: RecordDict, rng: random.Random) -> RecordDict:
    """Return a content with some of its values, fields or records changed."""
    content = copy.deepcopy(content)
    for _ in range(rng.randint(1, 2)):
        if not content:
            break
        name = rng.choice(list(content))
        kind = rng.randrange(12)
        if kind == 0:
            del content[name]
        elif kind == 1:
            other = rng.choice([ArrayRecord(), MetricRecord({"x": 1}), ConfigRecord({"x": "y"})])
            del content[name]
            content[name] = other
        else:
            _change(content[name], rng)
    return content


def _change(record: Any, rng: random.Random) -> None:
    if not record:
        return
    key = rng.choice(list(record))
    value = record[key]
    if rng.randrange(8) == 0:
        del record[key]
    elif isinstance(value, Array):
        if rng.random() < 0.3:
            value.stype = rng.choice(["numpy.ndarray", "", "x" * 300])
        elif rng.random() < 0.3:
            value.dtype = rng.choice(["float64", "object", "", "x"])
        else:
            value.data = bytes_like(value.data, rng)
    elif isinstance(value, bytes) and rng.random() < 0.7:
        record[key] = bytes_like(value, rng)
    else:
        if rng.random() < 0.2:
            key = rng.choice(("/", "a//", "d/arrays/", "e", "am/x/", key + "x"))
        try:
            record[key] = rng.choice((*JUNK, b"", b"\0" * 32, [b"x"]))
        except (TypeError, ValueError):
            return  # Flower itself does not let such a value be sent


def _as_message(unpack: Callable[[Message], object]) -> Callable[[RecordDict], object]:
    return lambda content: unpack(Message(content, dst_node_id=1, message_type="train"))


def _energy_of(data: bytes) -> None:
    content = wire.pack_reply(wire.TrainReply(1, b"", 3, 1.0))
    content["ledger"] = ConfigRecord({"records": data})
    wire.unpack_reply(Message(content, dst_node_id=1, message_type="train"))


def _bundle_like(data: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.2:
        return bytes_like(data, rng)
    text = zlib.decompressobj(zdict=packed_records._DICTIONARY).decompress(data)
    deflater = zlib.compressobj(1, zdict=packed_records._DICTIONARY)
    return deflater.compress(json_like(text, rng)) + deflater.flush()


def _program_like(data: bytes, rng: random.Random) -> bytes:
    """Change a program's description or its bytes; its hash is made right in most."""
    start, body = data[:3], data[35:]
    if rng.random() < 0.6:
        end = 4 + int.from_bytes(body[:4], "little")
        text = json_like(body[4:end], rng)
        body = len(text).to_bytes(4, "little") + text + body[end:]
    else:
        body = bytes_like(body, rng)
    if rng.random() < 0.1:
        return bytes_like(data, rng)
    return start + hashlib.sha256(body).digest() + body
