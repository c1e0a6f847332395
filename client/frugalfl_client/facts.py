"""Before the first round of a federation without public rows: what a device's rows look like."""

from __future__ import annotations

from flwr.app import Context, Message

from frugalfl import wire
from frugalfl.row_facts import RowFacts
from frugalfl_client.answers import answer, kept
from frugalfl_client.device import device_of
from frugalfl_client.energy import RoundEnergy


def tell(message: Message, context: Context) -> Message:
    """Answer with shapes, and whether targets are whole, labels, or the inputs.

    Raises:
        NotAllowedError: Its owner lets it answer nothing.
        TaskError: There are no rows.
    """
    device = device_of(context)
    request = wire.unpack_request(message)
    device.check_allowed(request.run)
    energy = RoundEnergy(device, request)
    energy.downloaded(request)
    with energy.window("prepare", samples=len(device.examples)):
        facts = RowFacts.of(device.examples).to_bytes()
    energy.uploading(len(facts))
    records, head, unkept = kept(device, energy.take())
    notice = "; ".join(filter(None, (device.take_notice(), unkept)))
    reply = wire.TrainReply(0, facts, records=records, head=head, link=device.link, notice=notice)
    return answer(reply, message)
