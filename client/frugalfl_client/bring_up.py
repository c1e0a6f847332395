"""The model of a request: what the device holds of it, brought on by the frames that came along."""

from __future__ import annotations

from frugalfl import wire
from frugalfl.errors import FrameError, TaskError
from frugalfl_client.exchange import Exchange
from frugalfl_client.held import Held
from frugalfl_client.training.trainer import Trainer

_Request = wire.TrainRequest | wire.CalibrateRequest


def builds_on(held: Held, request: _Request) -> bool:
    """Say whether a request's frames lead on from what is held."""
    return request.base < 0 or request.base == held.version


def bring_up(exchange: Exchange, trainer: Trainer, held: Held, request: _Request) -> None:
    """Apply a request's frames to what is held.

    Raises:
        FrameError: The frames cannot be applied, or lead elsewhere. A difference to what is not
            held would be refused again and again, so the device then holds no model any more:
            the next request brings a whole one.
    """
    try:
        with exchange.energy.window("decode"):
            held.apply(request.frames, trainer.layout, trainer.limits, exchange.device.settings)
        if held.version != request.version:
            raise FrameError(
                f"the frames lead to version {held.version}, the request is for version "
                f"{request.version}"
            )
    except (FrameError, TaskError) as error:
        kept = exchange.load(request)
        kept.model, kept.base, kept.fold, kept.version = {}, {}, (), -1
        exchange.save(request, kept)
        raise FrameError(str(error)) from error
