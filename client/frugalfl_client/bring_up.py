"""The model of a request: what the device holds of it, brought on by the frames that came along."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from frugalfl import wire
from frugalfl.blocks import Layout, Parameters
from frugalfl.errors import FrameError, TaskError
from frugalfl.settings import Settings
from frugalfl.subspace import Subspace
from frugalfl_client.exchange import Exchange
from frugalfl_client.held import Held
from frugalfl_client.training.trainer import Trainer

_Request = wire.TrainRequest | wire.CalibrateRequest


class BroughtUp(NamedTuple):
    """What is held then.

    Attributes:
        subspace: That coordinates are held of, its signs kept: for the weights, for training, and
            for the update; ``None``: whole weights are held.
        weights: The whole model, without private blocks.
        layout: Of what an update has.
    """

    subspace: Subspace | None
    weights: Parameters
    layout: Layout

    @classmethod
    def of(cls, held: Held, settings: Settings) -> BroughtUp:
        """Make it of what is held.

        Raises:
            FrameError: The run's settings know of no subspace.
        """
        subspace = held.subspace(settings)
        if subspace is not None:
            subspace = subspace.keeping_signs()
        return cls(subspace, held.weights_in(subspace), Layout.of(held.model))


#: Brings what is held on, to a request's version: :func:`bring_up`, or one for many at once.
BringUp = Callable[[Exchange, Trainer, Held, _Request], BroughtUp]


def builds_on(held: Held, request: _Request) -> bool:
    """Say whether a request's frames lead on from what is held."""
    return request.base < 0 or request.base == held.version


def bring_up(exchange: Exchange, trainer: Trainer, held: Held, request: _Request) -> BroughtUp:
    """Apply a request's frames to what is held.

    Raises:
        FrameError: The frames cannot be applied, or lead elsewhere. A difference to what is not
            held would be refused again and again, so the device then holds no model any more:
            the next request brings a whole one.
    """
    settings = exchange.device.settings
    try:
        with exchange.energy.window("decode"):
            held.apply(request.frames, trainer.layout, trainer.limits, settings)
        check_led_to(held, request)
    except (FrameError, TaskError) as error:
        let_go(exchange, request)
        raise FrameError(str(error)) from error
    return BroughtUp.of(held, settings)


def check_led_to(held: Held, request: _Request) -> None:
    """See that frames have led to the version that is asked about.

    Raises:
        FrameError: They have not.
    """
    if held.version != request.version:
        raise FrameError(
            f"the frames lead to version {held.version}, the request is for version "
            f"{request.version}"
        )


def let_go(exchange: Exchange, request: _Request) -> None:
    """Hold no model any more, so that the next request brings a whole one."""
    kept = exchange.load(request)
    kept.model, kept.base, kept.fold, kept.version = {}, {}, (), -1
    exchange.save(request, kept)
