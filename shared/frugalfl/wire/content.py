"""What every message has in common, whatever it asks or answers: its records, and their bytes.

A model travels as *one* Array of raw bytes with a stype of our own: Flower makes a POST of every
Array, and compresses none. The bytes are frames, one after the other.
"""

from __future__ import annotations

import hashlib
from copy import copy
from typing import Protocol

from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

from frugalfl.errors import FrameError
from frugalfl.wire.fields import read_record

STYPE = "frugalfl.frames.v1"
PROGRAM_STYPE = "frugalfl.program.v1"
#: Number of an error that says: this client's task raised, or its rows cannot be trained on. Flower
#: has none for it, and hands numbers on as they are.
TASK_FAILED = 1001
#: Records of a message.
ARRAYS, CONFIG, METRICS, LEDGER = "arrays", "config", "metrics", "ledger"
#: Arrays of a message.
FRAMES, PROGRAM = "frames", "program"
#: Fields of requests.
RESUMED, AGAIN, _CARRYING = "resumed", "again", "carrying"

#: What frames are put into, before they are.
_NO_FRAMES, _NO_ARRAYS = Array(dtype="uint8", shape=(0,), stype=STYPE, data=b""), ArrayRecord()


class WithModel(Protocol):
    """A question that goes with frames of the model, and perhaps with a training program."""

    @property
    def frames(self) -> bytes:
        """What leads to the version that is asked about."""

    @property
    def program(self) -> str:
        """Digest of the program to use; empty: none."""

    @property
    def program_file(self) -> bytes:
        """The program; empty: the client has it."""

    @property
    def resumed(self) -> tuple[int, ...]:
        """Rounds with which the run was begun again."""


def is_ours(content: RecordDict) -> bool:
    """Say whether a request comes from this project's server, which takes folded answers."""
    arrays = content.array_records.get(ARRAYS)
    return arrays is not None and FRAMES in arrays and arrays[FRAMES].stype == STYPE


def offer_carrying(content: RecordDict) -> None:
    """Say in a request that its answer may carry its content (:mod:`frugalfl.carried`)."""
    config = content.get(CONFIG)
    if isinstance(config, ConfigRecord) and is_ours(content):
        config[_CARRYING] = True


def offers_carrying(content: RecordDict) -> bool:
    """Say whether the answer to a request may carry its content."""
    config = content.get(CONFIG)
    return isinstance(config, ConfigRecord) and config.get(_CARRYING) is True


def asked_again(content: RecordDict) -> RecordDict:
    """Return a request's content for a client that was killed while it worked on it.

    What it did for it, residual and private blocks, is in vain: it begins from before.
    """
    config = ConfigRecord({**content.config_records[CONFIG], AGAIN: True})
    return RecordDict({**content, CONFIG: config})


def is_asked_again(content: RecordDict) -> bool:
    """Say whether a request is one that its client was sent before."""
    config = content.get(CONFIG)
    return isinstance(config, ConfigRecord) and config.get(AGAIN) is True


def question_of(content: RecordDict) -> bytes:
    """Return a digest (32 B) of a request that is the same if it is asked again.

    That of a round which a resumed run does anew is another one.
    """
    digest = hashlib.sha256()
    for name, record in sorted(content.config_records.items()):
        items = sorted(
            (key, value) for key, value in record.items() if key not in (AGAIN, _CARRYING)
        )
        digest.update(repr((name, items)).encode())
    for name, arrays in sorted(content.array_records.items()):
        for key, array in sorted(arrays.items()):
            digest.update(repr((name, key, len(array.data))).encode() + array.data)
    return digest.digest()


def length_of(content: RecordDict) -> int:
    """Return the length (B) of a request's frames and training program."""
    return sum(len(array.data) for array in content.array_records[ARRAYS].values())


def program_length_of(content: RecordDict) -> int:
    """Return the length (B) of a request's training program; 0: it has none."""
    program = content.array_records[ARRAYS].get(PROGRAM)
    return 0 if program is None else len(program.data)


def pack_bytes(data: bytes) -> ArrayRecord:
    """Return bytes as the one array of a message."""
    array = copy(_NO_FRAMES)  # Flower's constructors find out first which of six they are
    array.shape, array.data = (len(data),), data
    record = _NO_ARRAYS.copy()
    record[FRAMES] = array
    return record


def pack_sent(request: WithModel, config: ConfigRecord) -> ArrayRecord:
    """Return a request's frames, and its program where it goes along; name that in ``config``."""
    arrays = pack_bytes(request.frames)
    if request.resumed:
        config[RESUMED] = list(request.resumed)
    if request.program:
        config[PROGRAM] = request.program
    data = request.program_file
    if data:
        arrays[PROGRAM] = Array(dtype="uint8", shape=(len(data),), stype=PROGRAM_STYPE, data=data)
    return arrays


def unpack_program(content: RecordDict) -> bytes:
    """Return the training program of a request; empty: it has none.

    Raises:
        FrameError: It is something else.
    """
    array = read_record(content, ARRAYS, ArrayRecord).get(PROGRAM)
    if array is None:
        return b""
    if array.stype != PROGRAM_STYPE:
        raise FrameError(
            f"the message's program is {array.stype}; is the other end of this version?"
        )
    return bytes(array.data)


def unpack_bytes(content: RecordDict) -> bytes:
    """Return the bytes of a message.

    Raises:
        FrameError: It has none.
    """
    array = read_record(content, ARRAYS, ArrayRecord).get(FRAMES)
    if array is None or array.stype != STYPE:
        raise FrameError(f"the message carries no {STYPE} array; is the other end a FrugalFL app?")
    return bytes(array.data)


def config_of_ours(content: RecordDict) -> ConfigRecord:
    """Return what a request asks for.

    Raises:
        FrameError: It is of another ServerApp than ours.
    """
    config = content.get(CONFIG)
    if not isinstance(config, ConfigRecord) or "run" not in config:
        raise FrameError(
            "this message is of a ServerApp that is not FrugalFL's, and a FrugalFL client answers "
            "no other: name frugalfl_server.app:app as serverapp in the app's pyproject.toml"
        )
    return config
