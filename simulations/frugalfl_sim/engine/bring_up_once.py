"""Brings the models of many devices up to date, and decodes what is alike once.

Most devices of a round hold the same version and are sent the same frames. What comes of it is the
same then, bit for bit, and they share it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from frugalfl import wire
from frugalfl.codec import CodedFrame, Limits, read_bundle
from frugalfl.errors import FrameError, TaskError
from frugalfl_client.bring_up import BroughtUp, check_led_to, let_go
from frugalfl_client.exchange import Exchange
from frugalfl_client.held import Held
from frugalfl_client.training.trainer import Trainer
from frugalfl_sim.engine.shared_windows import SharedWindow, SharedWindows

_Request = wire.TrainRequest | wire.CalibrateRequest
_Key = tuple[int, int, int, tuple[int, ...], bytes]


@dataclass
class _Brought:
    """What frames have led to, for all that held the same before.

    Attributes:
        before: What was held: as long as it is there, nothing else has its place in memory.
        after: What is held then, without anything that is a device's own.
        ready: What to train.
        only_adds: Whether a codec's residual, if there is one, stays as it is.
        window: What decoding took.
        exchanges: Of the devices.
    """

    before: Held
    after: Held
    ready: BroughtUp
    only_adds: bool
    window: SharedWindow
    exchanges: list[Exchange] = field(default_factory=list)


class BringUpOnce:
    """Does what :func:`~frugalfl_client.bring_up.bring_up` does, for the devices of one cohort."""

    def __init__(self, windows: SharedWindows) -> None:
        """Begin with nothing decoded.

        Args:
            windows: Of the cohort's meters.
        """
        self._windows = windows
        self._brought: dict[_Key, _Brought] = {}
        self._alone: list[_Brought] = []

    def __call__(
        self, exchange: Exchange, trainer: Trainer, held: Held, request: _Request
    ) -> BroughtUp:
        """Bring up what one device holds; see :func:`~frugalfl_client.bring_up.bring_up`."""
        places = [id(one) if one else 0 for one in (held.model, held.base)]
        key: _Key = (held.version, places[0], places[1], held.fold, request.frames)
        try:
            found = self._found(key, exchange, trainer, held, request)
            check_led_to(found.after, request)
        except (FrameError, TaskError) as error:
            let_go(exchange, request)
            raise FrameError(str(error)) from error
        found.exchanges.append(exchange)
        after = found.after
        held.version, held.model, held.base, held.fold = (
            after.version, after.model, after.base, after.fold,
        )  # fmt: skip
        if held.residual and not found.only_adds:
            held.residual = after.residual
        return found.ready

    def _found(
        self, key: _Key, exchange: Exchange, trainer: Trainer, held: Held, request: _Request
    ) -> _Brought:
        """Return what the same frames have led to before, or bring it up now."""
        if held.residual and not _only_adds(request.frames, trainer.limits):
            found = self._bring(exchange, trainer, held, request, only_adds=False)
            self._alone.append(found)  # what is left of a residual is not alike
            return found
        if key not in self._brought:
            self._brought[key] = self._bring(exchange, trainer, held, request, only_adds=True)
        return self._brought[key]

    def share_out(self) -> None:
        """Give each device its record of the decoding, once all are brought up."""
        for one in (*self._brought.values(), *self._alone):
            if one.exchanges:
                one.window.share_out(one.exchanges, [1.0] * len(one.exchanges))

    def _bring(
        self, exchange: Exchange, trainer: Trainer, held: Held, request: _Request, only_adds: bool
    ) -> _Brought:
        settings, after = exchange.device.settings, replace(held)
        with self._windows.window("decode") as window:
            after.apply(request.frames, trainer.layout, trainer.limits, settings)
        for other in self._brought.values():
            if _alike(after, other.after):
                after.model, after.base = other.after.model, other.after.base
                return _Brought(replace(held), after, other.ready, only_adds, window)
        ready = BroughtUp.of(after, settings)
        return _Brought(replace(held), after, ready, only_adds, window)


def _alike(one: Held, other: Held) -> bool:
    """Say whether two ways have led to the same bits, as all ways to one version do."""
    return (one.version, one.fold) == (other.version, other.fold) and all(
        mine.keys() == theirs.keys()
        and all(mine[name].tobytes() == theirs[name].tobytes() for name in mine)
        for mine, theirs in ((one.model, other.model), (one.base, other.base))
    )


def _only_adds(frames: bytes, limits: Limits) -> bool:
    """Say whether frames are all differences.

    Raises:
        FrameError: They cannot be read.
    """
    parts = read_bundle(frames, limits)
    return all(isinstance(part, CodedFrame) and part.base is not None for part in parts)
