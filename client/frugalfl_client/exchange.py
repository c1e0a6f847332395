"""One exchange with the server, seen from the device: what all its answers have in common.

A device asks its owner first, meters what it does, keeps the records in its own ledger before it
tells of them, and answers a request that it cannot meet in one line. A full disk costs the round
its records, not the device its contribution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import NamedTuple, TypeVar

from flwr.app import Context, Error, Message, RecordDict
from flwr.common.constant import ErrorCode

from frugalfl import wire
from frugalfl.energy import EnergyRecord, Head
from frugalfl.errors import CodecError, FrameError, NotAllowedError, RunError, TaskError
from frugalfl_client.device import Device, device_of
from frugalfl_client.energy import RoundEnergy
from frugalfl_client.held import Held
from frugalfl_client.owner import VOICE


class Told(NamedTuple):
    """What an answer tells of its device.

    Attributes:
        records: Energy records, as they are in the ledger.
        head: Where the ledger ends, with them in it; ``None``: it could not be written.
        notice: One line for the person at the server; empty: nothing.
    """

    records: tuple[EnergyRecord, ...]
    head: Head | None
    notice: str


#: Requests that build on what the device holds of their run.
_Building = wire.TrainRequest | wire.CalibrateRequest | wire.TreesRequest
_Request = TypeVar("_Request", bound=wire.AnyRequest)


class Exchange:
    """A question and its answer.

    Use: in a ``with`` block :meth:`open` the request, work, and :meth:`answer`. However the block
    ends, :attr:`reply` is the message to return then.

    Attributes:
        device: Whoever is asked; there once the request is open.
        energy: Collects the records of the work.
        reply: The answer, or why there is none.
    """

    device: Device
    energy: RoundEnergy
    reply: Message

    def __init__(self, message: Message, context: Context) -> None:
        """Begin, without looking at the message."""
        self._message = message
        self._context = context

    def __enter__(self) -> Exchange:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:  # fmt: skip
        """Answer, if request, disk, owner or task are against it, in one line why."""
        match error:
            case NotAllowedError():
                VOICE.refused(str(error))
                self._refuse(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, str(error))
            case FrameError() | CodecError() | RunError():
                self._refuse(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, str(error))
            case TaskError():
                why = self._with_number(str(error))
                VOICE.refused(why)
                self._refuse(wire.TASK_FAILED, why)
            case _:
                return False
        return True

    def open(self, unpack: Callable[[Message], _Request], about: str = "") -> _Request:
        """Read the request, and see that the device's owner lets it answer.

        Args:
            unpack: Reads it.
            about: Setting that the question is about; empty: training.

        Raises:
            FrameError: It cannot be read.
            NotAllowedError: The owner does not want it answered, or has no joules for it.
        """
        self.device = device_of(self._context)
        request = unpack(self._message)
        self.device.check_allowed(request.run, about)
        return request

    def meter(self, request: wire.AnyRequest, software: str = "") -> RoundEnergy:
        """Begin to collect energy records, with that of the request's way here.

        Args:
            request: What has come.
            software: The package that works, if one does.
        """
        self.energy = RoundEnergy(self.device, request, software)
        self.energy.downloaded(request)
        return self.energy

    def load(self, request: _Building) -> Held:
        """Return what is held of the request's run, from before what was done in vain."""
        again = request.round if request.again else -1
        return self.device.store.load(request.run, request.resumed, again)

    def save(self, request: _Building, held: Held) -> None:
        """Keep what a request left, and which one it was: a resumed run may ask for it again."""
        held.round, held.attempt = request.round, len(request.resumed)
        self.device.store.save(request.run, held)

    def close(self, uplink_bytes: int, damage: str = "") -> Told:
        """Write the records into the ledger, with that of the answer's way; return what to tell.

        Args:
            uplink_bytes: Length of what the answer carries (B).
            damage: What was lost of what the device holds; empty: nothing.
        """
        self.energy.uploading(uplink_bytes)
        records, head, unkept = _keep(self.device, self.energy.take())
        notice = "; ".join(filter(None, (damage, self.device.take_notice(), unkept)))
        return Told(records, head, notice)

    def answer(self, content: RecordDict) -> None:
        """Answer the message."""
        self.reply = Message(content, reply_to=self._message)

    def _refuse(self, code: int, why: str) -> None:
        self.reply = Message(Error(code, why), reply_to=self._message)

    def _with_number(self, why: str) -> str:
        """Name the client whose task failed, unless the line does so."""
        config = self._context.node_config
        number, of = (config.get(key) for key in ("partition-id", "num-partitions"))
        whose = f"client {number} of {of}"
        return why if whose in why or f"({number}, {of})" in why else f"{whose}: {why}"


def _keep(
    device: Device, records: Sequence[EnergyRecord]
) -> tuple[tuple[EnergyRecord, ...], Head | None, str]:
    """Write records into the ledger; if it cannot be written, nothing is reported but that."""
    try:
        return tuple(records), device.ledger.append(records), ""
    except RunError as error:
        return (), None, f"this round has no energy records: {error}"
