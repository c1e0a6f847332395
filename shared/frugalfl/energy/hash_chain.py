"""The hash chain of a ledger: each entry's hash covers its text and the hash before it.

A change to any entry breaks the chain there. Whoever can write the file can also compute the whole
chain anew, and cut off its end: for that, heads that somebody else has seen are compared.

A head that is told carries a proof: a keyed hash (HMAC, RFC 2104) whose key is the ledger's random
name, which never leaves the device. Whoever has the file can tell which heads it told itself, and
nobody else can make one: a head that another node, or the keeper of the run, made up says nothing
about this ledger. A second hash of the name says which ledger it is, without giving the name away.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from frugalfl.energy.record_json import parse

#: Bytes of a hash: SHA-256 (FIPS 180-4).
HASH_BYTES = 32
#: Bytes of a ledger's mark, and of a proof: both are the beginning of such a hash.
PROOF_BYTES = 16


@dataclass(frozen=True)
class Head:
    """Where a chain ends.

    Attributes:
        number: Number of the newest entry, from 1; 0: no entry yet.
        hash: Its hash.
        ledger: Which ledger it is of, if it was told by one; empty: not said.
        proof: Made by that ledger alone; empty: none.
    """

    number: int
    hash: bytes
    ledger: bytes = field(default=b"", compare=False)
    proof: bytes = field(default=b"", compare=False)


@dataclass(frozen=True)
class Entry:
    """One entry as it lies in the file: a record's JSON, or a seal's."""

    number: int
    text: str
    hash: bytes


def genesis(ledger: bytes) -> Head:
    """Return the head of a ledger without entries; ``ledger`` is its random name."""
    return Head(0, hashlib.sha256(b"frugalfl energy ledger" + ledger).digest())


def mark_of(ledger: bytes) -> bytes:
    """Return what a ledger is known by to others; ``ledger`` is its random name."""
    return hashlib.sha256(b"frugalfl energy ledger mark" + ledger).digest()[:PROOF_BYTES]


def proven(ledger: bytes, head: Head, mark: bytes = b"") -> Head:
    """Return a head with the mark and the proof of the ledger of that random name.

    Args:
        ledger: The name.
        head: Where the ledger ends.
        mark: Of that ledger, if it is at hand.
    """
    told = head.number.to_bytes(8, "big") + head.hash
    proof = hmac.digest(ledger, told, "sha256")[:PROOF_BYTES]
    return Head(head.number, head.hash, mark or mark_of(ledger), proof)


def is_proven(ledger: bytes, head: Head) -> bool:
    """Say whether the ledger of that random name told this head."""
    return hmac.compare_digest(proven(ledger, head).proof, head.proof)


def link(before: Head, text: str) -> Head:
    """Return the head after one more entry."""
    return link_all(before, [text])


def link_all(before: Head, texts: Iterable[str]) -> Head:
    """Return the head after several more entries."""
    number, hash_ = before.number, before.hash
    for text in texts:
        number += 1
        hash_ = hashlib.sha256(hash_ + number.to_bytes(8, "big") + text.encode()).digest()
    return Head(number, hash_)


def fault(start: Head, entries: Iterable[Entry], end: Head, seen: Mapping[int, bytes]) -> str:
    """Say in one line what is wrong with a chain, at its first fault; empty: nothing.

    Args:
        start: The head before the first entry.
        entries: All entries, by number.
        end: The head that the ledger itself noted.
        seen: Hashes by number that somebody else has seen; older ones than ``start`` are skipped.
    """
    head = start
    for entry in entries:
        if entry.number != head.number + 1:
            return f"record {head.number + 1} is missing: it was removed, or its number was changed"
        expected = link(head, entry.text)
        if entry.hash != expected.hash:
            return (
                f"record {entry.number} ({_about(entry.text)}) does not match its hash: it was "
                "edited, inserted or moved here, or the record before it was"
            )
        if seen.get(entry.number, entry.hash) != entry.hash:
            return (
                f"record {entry.number} ({_about(entry.text)}) is not the one that the server was "
                "told of: the ledger was written anew"
            )
        head = expected
    if head != end:
        return (
            f"record {head.number + 1} is missing: the ledger ends at {head.number}, and noted "
            f"{end.number} records"
        )
    latest = max(seen, default=0)
    if latest > head.number:
        return (
            f"record {head.number + 1} is missing: the ledger ends at {head.number}, and the "
            f"server was told of {latest} records"
        )
    return ""


def _about(text: str) -> str:
    """Describe a record that may be damaged."""
    try:
        values = parse(text)
        return f"client {values['client']}, round {values['round']}, {values['phase']}"[:120]
    except (ValueError, TypeError, KeyError):
        return "no record at all"
