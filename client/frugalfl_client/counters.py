"""Counters before the first round: a device gives its tables, and gets the sums at its own keys.

A device whose own settings say ``counters = "own"`` gives nothing, whatever a server asks for.
"""

from __future__ import annotations

from flwr.app import Context, Message

from frugalfl import wire
from frugalfl.errors import FrameError
from frugalfl.sums import pack_tables, unpack_tables
from frugalfl_client.answers import answer, kept
from frugalfl_client.device import Device, device_of
from frugalfl_client.energy import RoundEnergy
from frugalfl_client.kept_totals import keep_totals


def share(message: Message, context: Context) -> Message:
    """Answer a question without frames by the tables, one with frames by keeping these sums.

    Raises:
        FrameError: This device does not share, or the sums are not of its own tables.
        RunError: The sums cannot be kept.
        TaskError: The task's counters raised.
    """
    device = device_of(context)
    request = wire.unpack_request(message)
    device.check_allowed(request.run, "counters")
    if not device.settings.train.shares_counters:
        raise FrameError("this device shares no counters: its setting counters is own")
    energy = RoundEnergy(device, request)
    energy.downloaded(request)
    with energy.window("prepare"):
        tables = b"" if request.frames else _own(device)
        if request.frames:
            unpack_tables(request.frames)  # damage is the server's to hear of, now
            keep_totals(device.folder, request.run, request.frames)
    energy.uploading(len(tables))
    records, head, unkept = kept(device, energy.take())
    reply = wire.TrainReply(
        0, tables, records=records, head=head, link=device.link,
        notice="; ".join(filter(None, (device.take_notice(), unkept))),
    )  # fmt: skip
    return answer(reply, message)


def _own(device: Device) -> bytes:
    return pack_tables(device.task.counters_of(device.number, device.of))
