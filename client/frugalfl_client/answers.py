"""Answers to the server, whatever they are about: records kept first, mistakes in one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flwr.app import Context, Error, Message
from flwr.common.constant import ErrorCode

from frugalfl import wire
from frugalfl.energy import EnergyRecord, Head
from frugalfl.errors import (
    CodecError,
    FrameError,
    FrugalFLError,
    NotAllowedError,
    RunError,
    TaskError,
)
from frugalfl_client.device import Device
from frugalfl_client.owner import VOICE


def answered(
    work: Callable[[Message, Context], Message], message: Message, context: Context
) -> Message:
    """Answer a message; where request, disk, owner or task are against it, the answer says so."""
    try:
        return work(message, context)
    except NotAllowedError as error:
        VOICE.refused(str(error))
        return _refuse(error, message)
    except (FrameError, CodecError, RunError) as error:
        return _refuse(error, message)
    except TaskError as error:
        why = _with_number(str(error), context)
        VOICE.refused(why)
        return Message(Error(wire.TASK_FAILED, why), reply_to=message)


def _refuse(error: FrugalFLError, message: Message) -> Message:
    """Say in one line why the round goes on without this client."""
    return Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, str(error)), reply_to=message)


def _with_number(why: str, context: Context) -> str:
    """Name the client whose task failed, unless the line does so."""
    number, of = (context.node_config.get(key) for key in ("partition-id", "num-partitions"))
    whose = f"client {number} of {of}"
    return why if whose in why or f"({number}, {of})" in why else f"{whose}: {why}"


def kept(
    device: Device, records: Sequence[EnergyRecord]
) -> tuple[tuple[EnergyRecord, ...], Head | None, str]:
    """Write records into the ledger; where it cannot be written, nothing is reported but that.

    A full disk costs the round its records, not the device its contribution.
    """
    try:
        return tuple(records), device.ledger.append(records), ""
    except RunError as error:
        return (), None, f"this round has no energy records: {error}"


def answer(reply: wire.TrainReply, message: Message) -> Message:
    """Return a reply as the answer to its message."""
    return Message(wire.pack_reply(reply), reply_to=message)
