"""The model of a request: what the device holds of it, brought on by the frames that came along."""

from __future__ import annotations

from typing import Protocol

from frugalfl.errors import FrameError, TaskError
from frugalfl_client.exchange import AboutModel, Exchange
from frugalfl_client.held import Held
from frugalfl_client.training.trainer import Trainer


class ModelRequest(AboutModel, Protocol):
    """A request about a model."""

    @property
    def base(self) -> int:
        """As of :class:`~frugalfl.wire.TrainRequest`."""

    @property
    def version(self) -> int:
        """As of :class:`~frugalfl.wire.TrainRequest`."""

    @property
    def frames(self) -> bytes:
        """As of :class:`~frugalfl.wire.TrainRequest`."""


def builds_on(held: Held, request: ModelRequest) -> bool:
    """Say whether a request's frames lead on from what is held."""
    return request.base < 0 or request.base == held.version


def bring_up(exchange: Exchange, trainer: Trainer, held: Held, request: ModelRequest) -> None:
    """Apply a request's frames to what is held.

    Raises:
        FrameError: The frames cannot be applied, or lead elsewhere. A difference to what is not
            held would be refused again and again, so the device then holds no model any more:
            the next request brings a whole one.
    """
    try:
        with exchange.energy.window("decode"):
            held.apply(request.frames, trainer.layout, trainer.limits)
        if held.version != request.version:
            raise FrameError(
                f"the frames lead to version {held.version}, the request is for version "
                f"{request.version}"
            )
    except (FrameError, TaskError) as error:
        kept = exchange.load(request)
        kept.model, kept.version = {}, -1
        exchange.save(request, kept)
        raise FrameError(str(error)) from error
