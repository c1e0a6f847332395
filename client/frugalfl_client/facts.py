"""Before the first round of a federation without public rows: what a device's rows look like."""

from __future__ import annotations

from frugalfl import wire
from frugalfl.row_facts import RowFacts
from frugalfl_client.exchange import Exchange


def tell(exchange: Exchange) -> wire.FactsReply:
    """Answer with shapes, and whether targets are whole, labels, or the inputs.

    Raises:
        NotAllowedError: Its owner lets it answer nothing.
        TaskError: There are no rows.
    """
    request = exchange.open(wire.unpack_facts_request)
    device = exchange.device
    with exchange.meter(request).window("prepare", samples=len(device.rows.examples)):
        facts = RowFacts.of(device.rows.examples).to_bytes()
    records, head, notice = exchange.close(len(facts))
    return wire.FactsReply(facts, records, head, device.link, notice)
