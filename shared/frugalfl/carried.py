"""A message that carries its content with it, rather than the names of objects to ask for.

Flower's SuperLink keeps whatever content a message has when it is pushed, and hands it on; Flower's
own parts push none, and send each object in a request of its own. A node that carries its answer
needs one request for it. SuperLink wants an object for every message all the same: the *ticket*,
which both ends can make, so that the server puts it there and takes it away again, next to
SuperLink and not over a device's link.
"""

from __future__ import annotations

import hashlib

from flwr.app import ConfigRecord, RecordDict

#: Most that a message to a node carries (B): where the line breaks while a node takes it, it is
#: lost, since SuperLink gives each message once; objects can be asked for anew.
MOST_DOWN_BYTES = 1 << 16
#: Most that an answer carries (B); it stays on the device until it was taken, but goes up whole.
MOST_UP_BYTES = 1 << 20


def ticket(answered: str) -> tuple[str, bytes]:
    """Return name and bytes of the object of the answer to a message, of that message's name."""
    data = ConfigRecord({"answers": answered}).deflate()
    return hashlib.sha256(data).hexdigest(), data


def size(content: RecordDict) -> int:
    """Return roughly how many bytes a content has: those of its arrays and of its byte strings."""
    arrays = sum(record.count_bytes() for record in content.array_records.values())
    return arrays + sum(
        len(value)
        for record in content.config_records.values()
        for value in record.values()
        if isinstance(value, bytes)
    )
