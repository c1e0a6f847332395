"""Questions without a model: a few bytes go, a few bytes come back.

On the wire they look like a train request for no blocks, and like the reply to one: so devices and
servers from before these questions had types of their own are understood.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flwr.app import ConfigRecord, MetricRecord, RecordDict

from frugalfl.wire.content import ARRAYS, CONFIG, LEDGER, METRICS, RESUMED, pack_bytes
from frugalfl.wire.device import (
    Telling,
    pack_link,
    pack_told,
    read_head,
    read_link,
    read_notice,
    read_records,
)
from frugalfl.wire.fields import read_record


def pack_plain_request(
    data: bytes, run: str, round_: int = 0, base: int = -1, version: int = 0, asked: str = "",
    resumed: Sequence[int] = (),
) -> RecordDict:  # fmt: skip
    """Return the content of a request that carries bytes and no model.

    Args:
        data: The bytes.
        run: Name of the run.
        round_: Round that it belongs to; 0: before the first one.
        base: Version that the client must hold for ``data`` to apply; -1: any, or none.
        version: Version that ``data`` leads to.
        asked: What is asked for, if the message's type does not say it.
        resumed: As of :class:`~frugalfl.wire.TrainRequest`.
    """
    config = ConfigRecord(
        {
            "run": run,
            "round": round_,
            "base": base,
            "version": version,
            "blocks": list[int](),
            "uplink": asked,
        }
    )
    if resumed:
        config[RESUMED] = list(resumed)
    return RecordDict({ARRAYS: pack_bytes(data), CONFIG: config})


def pack_plain_reply(
    data: bytes, told: Telling, link: str, samples: int = 0, loss: float = 0.0, held: int = 0
) -> RecordDict:
    """Return the content of a reply that carries bytes and no update.

    Args:
        data: The bytes.
        told: What the reply tells of its device.
        link: The link that the device declares; empty: none.
        samples: Rows that it is about.
        loss: Mean loss on them.
        held: Version that the client holds.
    """
    metrics = MetricRecord({"num-examples": samples, "train-loss": loss, "held-version": held})
    ledger = pack_told(told)
    pack_link(ledger, link)
    return RecordDict({ARRAYS: pack_bytes(data), METRICS: metrics, LEDGER: ledger})


def read_told(content: RecordDict) -> dict[str, Any]:
    """Read what such a reply tells of its device, by name of the attributes.

    Raises:
        FrameError: Something that belongs there is missing or of another type.
    """
    ledger = read_record(content, LEDGER, ConfigRecord)
    return {
        "records": read_records(ledger),
        "head": read_head(ledger),
        "link": read_link(ledger),
        "notice": read_notice(ledger),
    }
