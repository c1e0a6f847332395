"""What a reply tells of its device beside the answer: joules, ledger, battery, trainer, scores."""

from __future__ import annotations

import math
import re
from typing import Any, Protocol

from flwr.app import ConfigRecord, MetricRecord

from frugalfl.energy import EnergyRecord, Head, packed_records
from frugalfl.energy.hash_chain import HASH_BYTES, PROOF_BYTES
from frugalfl.energy.level import BatteryLevel
from frugalfl.errors import FrameError
from frugalfl.text import printable
from frugalfl.wire.fields import (
    MOST_COUNT,
    read_any_text,
    read_item,
    read_number,
    read_text,
    read_whole,
)

#: The trainer that a reply which names none comes from.
TORCH, LITERT = "torch", "litert"
_LINK, _NOTICE, _TRAINER, _PROGRAMS = "link", "notice", "trainer", "programs"
_BATTERY, _CHARGING, _TALLY, _TRIES = "battery", "charging", "tally", "tries"
_RECORDS, _NUMBER, _HASH, _MARK, _PROOF = "records", "number", "hash", "mark", "proof"
#: Most digests that are read from a reply, each SHA-256 in hexadecimal digits.
_MAX_PROGRAMS, _DIGEST = 256, re.compile("[0-9a-f]{64}")


class Telling(Protocol):
    """A reply, as far as it tells of its device."""

    @property
    def records(self) -> tuple[EnergyRecord, ...]:
        """Joules, one a phase."""

    @property
    def head(self) -> Head | None:
        """Where the device's ledger ends."""

    @property
    def notice(self) -> str:
        """One line for the person at the server; empty: nothing."""


class TellingOfModel(Telling, Protocol):
    """A reply that tells of a model's trainer and scores too."""

    @property
    def trainer(self) -> str:
        """What trains on the device."""

    @property
    def programs(self) -> tuple[str, ...]:
        """Digests of the training programs that it has."""

    @property
    def accuracy(self) -> float | None:
        """Of the model that came, on rows of the device's own; ``None``: not measured."""

    @property
    def scored(self) -> int:
        """Rows that it was measured on."""

    @property
    def tally(self) -> tuple[float, ...]:
        """What was counted on them."""


def pack_told(reply: Telling) -> ConfigRecord:
    """Return what a reply tells of its device; what goes without saying is left out.

    All of that is one record: Flower would send each one more as one more POST.
    """
    ledger = ConfigRecord({_RECORDS: packed_records.pack(reply.records)} if reply.records else {})
    head = reply.head
    if head is not None:
        ledger[_NUMBER], ledger[_HASH] = head.number, head.hash
        if head.proof:
            ledger[_MARK], ledger[_PROOF] = head.ledger, head.proof
    if reply.notice:
        ledger[_NOTICE] = reply.notice
    return ledger


def pack_about(reply: TellingOfModel) -> ConfigRecord:
    """Return the same, and what trains on the device."""
    ledger = pack_told(reply)
    if reply.trainer != TORCH:
        ledger[_TRAINER] = reply.trainer
    if reply.programs:
        ledger[_PROGRAMS] = list(reply.programs)
    return ledger


def pack_link(ledger: ConfigRecord, link: str) -> None:
    """Put the link that a device declares beside that, if it does."""
    if link:
        ledger[_LINK] = link


def pack_battery(ledger: ConfigRecord, battery: BatteryLevel | None) -> None:
    """Put how full its battery is beside that, if it is known."""
    if battery is not None:
        ledger[_BATTERY], ledger[_CHARGING] = battery.percent, battery.charging


def read_link(ledger: Any) -> str:
    """Read the link that a device declares; empty: none."""
    return printable(read_any_text(ledger, _LINK))


def read_notice(ledger: Any) -> str:
    """Read a device's line for the person at the server; empty: nothing."""
    return printable(read_any_text(ledger, _NOTICE))


def read_trainer(ledger: Any) -> tuple[str, tuple[str, ...]]:
    """Read what trains on a device, and which training programs it has.

    Raises:
        FrameError: It is nothing that is known here, or no digests.
    """
    trainer = read_text(ledger, _TRAINER) if _TRAINER in ledger else TORCH
    programs = ledger.get(_PROGRAMS, [])
    if trainer not in (TORCH, LITERT):
        raise FrameError(f"the reply names the trainer {trainer[:20]!r}; is it of this version?")
    if not isinstance(programs, list) or len(programs) > _MAX_PROGRAMS:
        raise FrameError("the reply's list of training programs cannot be read")
    if not all(isinstance(one, str) and _DIGEST.fullmatch(one) for one in programs):
        raise FrameError("the reply names a training program by something that is no SHA-256")
    return trainer, tuple(programs)


def read_records(ledger: Any) -> tuple[EnergyRecord, ...]:
    """Read a device's energy records.

    Raises:
        FrameError: They cannot be read.
    """
    data = ledger.get(_RECORDS, b"")
    try:
        if not isinstance(data, bytes):
            raise ValueError("they are no bytes")
        return packed_records.unpack(data)
    except ValueError as error:
        raise FrameError(f"the reply's energy records cannot be read: {error}") from error


def read_head(ledger: Any) -> Head | None:
    """Read where a device's ledger ends; ``None``: it does not say.

    Raises:
        FrameError: It cannot end so.
    """
    if _NUMBER not in ledger:
        return None
    number, digest = read_whole(ledger, _NUMBER), read_item(ledger, _HASH)
    if not 0 <= number <= MOST_COUNT or not isinstance(digest, bytes) or len(digest) != HASH_BYTES:
        raise FrameError(f"the reply's ledger ends at {number} with the hash {digest!r:.60}")
    if _PROOF not in ledger:
        return Head(number, digest)  # of a client from before there were proofs
    mark, proof = read_item(ledger, _MARK), read_item(ledger, _PROOF)
    for one in (mark, proof):
        if not isinstance(one, bytes) or len(one) != PROOF_BYTES:
            raise FrameError(f"the reply's ledger ends with the proof {one!r:.60}")
    return Head(number, digest, mark, proof)


def read_battery(ledger: Any) -> BatteryLevel | None:
    """Read how full a device's battery is; ``None``: it does not say.

    Raises:
        FrameError: It cannot be.
    """
    if _BATTERY not in ledger:
        return None
    percent, charging = read_number(ledger, _BATTERY), read_item(ledger, _CHARGING)
    if not 0 <= percent <= 100 or not isinstance(charging, bool):
        raise FrameError(f"the reply's battery is at {percent} %, charging: {charging!r:.60}")
    return BatteryLevel(percent, charging)


def pack_tries(ledger: ConfigRecord, tries: bool) -> None:
    """Say that the device would try a training program beside its PyTorch, if it would."""
    if tries:
        ledger[_TRIES] = True


def read_tries(ledger: Any) -> bool:
    """Say whether a device would try a training program."""
    return ledger.get(_TRIES) is True


def pack_scores(metrics: MetricRecord, reply: TellingOfModel) -> None:
    """Put what a client measured beside its other numbers, if it did."""
    if reply.scored:
        metrics["scored"] = reply.scored
    if reply.accuracy is not None:
        metrics["accuracy"] = reply.accuracy
    if reply.tally:
        metrics[_TALLY] = list(reply.tally)


def read_scores(metrics: Any) -> tuple[float | None, int]:
    """Read the accuracy that a client measured, and on how many rows.

    Raises:
        FrameError: They cannot be.
    """
    accuracy = read_number(metrics, "accuracy") if "accuracy" in metrics else None
    scored = read_whole(metrics, "scored") if "scored" in metrics else 0
    if not (accuracy is None or 0 <= accuracy <= 1) or scored < 0:
        raise FrameError(f"the reply claims an accuracy of {accuracy} on {scored} rows")
    return accuracy, scored


def read_tally(metrics: Any) -> tuple[float, ...]:
    """Return a client's sums over its rows; empty where it sent none.

    Raises:
        FrameError: They are no finite numbers.
    """
    value = metrics.get(_TALLY, [])
    if not isinstance(value, list) or not all(map(math.isfinite, value)):
        raise FrameError(f"the reply's tally is {value!r:.80}, not finite numbers")
    return tuple(map(float, value))
