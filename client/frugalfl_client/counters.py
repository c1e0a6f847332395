"""Counters before the first round: a device gives its tables, and gets the sums at its own keys.

A device whose own settings say ``counters = "own"`` gives nothing, whatever a server asks for.
"""

from __future__ import annotations

from frugalfl import wire
from frugalfl.errors import FrameError
from frugalfl.sums import pack_tables, unpack_tables
from frugalfl_client.exchange import Exchange
from frugalfl_client.kept_totals import keep_totals


def share(exchange: Exchange) -> wire.CountersReply:
    """Answer a question without sums by the tables, one with sums by keeping these.

    Raises:
        FrameError: This device does not share, or the sums are not of its own tables.
        RunError: The sums cannot be kept.
        TaskError: The task's counters raised.
    """
    request = exchange.open(wire.unpack_counters_request, "counters")
    device = exchange.device
    if not device.settings.train.shares_counters:
        raise FrameError("this device shares no counters: its setting counters is own")
    tables = b""
    with exchange.meter(request).window("prepare"):
        if request.sums:
            unpack_tables(request.sums)  # damage is the server's to hear of, now
            keep_totals(device.folder, request.run, request.sums)
        else:
            tables = pack_tables(device.task.counters_of(device.number, device.of))
    records, head, notice = exchange.close(len(tables))
    return wire.CountersReply(tables, records, head, device.link, notice)
