"""What becomes of the updates of one step: their mean, or each client's own arrays.

Most strategies need only the weighted mean: then updates are added up as they come, compressed, and
the strategy is shown one reply with that mean. The others are shown every client's arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from flwr.app import Message
from flwr.serverapp.strategy import Strategy

from frugalfl import wire
from frugalfl.blocks import Layout, Parameters
from frugalfl.codec import Limits, check_fits, read_frame
from frugalfl.errors import FrameError
from frugalfl_server.rounds.aggregate import Accumulator
from frugalfl_server.rounds.block_means import complete
from frugalfl_server.rounds.flower_strategies import needs_only_mean
from frugalfl_server.rounds.norm_bound import Far, Judge
from frugalfl_server.rounds.norms import kinds_of, norms_of
from frugalfl_server.rounds.questions import Asked
from frugalfl_server.rounds.rate_control import RateControl


@dataclass(frozen=True)
class Update:
    """A client's answer to a question, about to be taken in.

    Attributes:
        message: As it came.
        reply: What is in it.
        asked: What it was asked for.
        rows: How many of its rows count.
        share: What it is multiplied by; the mean is still over the whole weights.
    """

    message: Message
    reply: wire.TrainReply
    asked: Asked
    rows: int
    share: float = 1.0


class Sums(Protocol):
    """Takes the updates of one step of the model."""

    @property
    def updates(self) -> int:
        """How many it has taken."""

    def add(self, update: Update, judge: Judge | None) -> tuple[str, ...] | Far:
        """Take an update; return the tensors that it moves, or why it has to wait.

        Raises:
            FrameError: It is not as it should be; nothing was taken.
        """

    def contributions(self, model: Parameters) -> list[Message]:
        """Return what the strategy is shown; this can be done once.

        Args:
            model: What the updates are added to.
        """


class MeanOfAll:
    """The sum of all updates: one accumulator of the model's size."""

    def __init__(self, layout: Layout, steering: RateControl) -> None:
        """Begin a step."""
        self._total = Accumulator(layout)
        self._steering = steering
        self.updates = 0
        self._samples = 0
        self._loss = 0.0
        self._last: Message | None = None

    def add(self, update: Update, judge: Judge | None) -> tuple[str, ...] | Far:
        """Add an update; return the tensors that it moves, or why it has to wait.

        Raises:
            FrameError: It is not as it should be; nothing was added.
        """
        added = self._total.add(
            update.reply.frame, update.rows, update.asked.check, judge, update.share
        )
        if isinstance(added, Far):
            return added
        if self._steering.active:
            self._steering.note(added.steering(), update.rows, added.magnitudes(), update.share)
        self.updates += 1
        self._samples += update.rows
        self._loss += update.rows * update.reply.loss
        self._last = update.message
        return added.names

    def contributions(self, model: Parameters) -> list[Message]:
        """Return one reply with the model plus the mean of all, or none; this can be done once."""
        if self._last is None:
            return []
        loss = self._loss / self._samples
        self._last.content = wire.pack_average(self._total.finish(model), self._samples, loss)
        return [self._last]


class EachUpdate:
    """Every client's update by itself, decoded."""

    def __init__(self, layout: Layout, steering: RateControl, clips: bool) -> None:
        """Begin a step.

        Args:
            layout: Of the model.
            steering: Learns of the updates' steps.
            clips: The strategy divides by the length of an update, which must not be 0.
        """
        self._layout = layout
        self._limits = Limits.of(layout)
        self._steering = steering
        self._clips = clips
        self._decoded: list[tuple[Update, Parameters]] = []

    @property
    def updates(self) -> int:
        """How many there are."""
        return len(self._decoded)

    def add(self, update: Update, judge: Judge | None) -> tuple[str, ...] | Far:
        """Decode an update; return the tensors that it moves, or why it has to wait.

        Raises:
            FrameError: It is not as it should be.
        """
        coded = read_frame(update.reply.frame, self._limits)
        update.asked.check(coded)
        check_fits(coded.shapes, self._layout)  # decoding may take seconds
        frame = coded.decode()
        named = frame.named(self._layout)
        norms = norms_of(zip(kinds_of(self._layout, tuple(frame.blocks)), named.values(),
                             strict=True))  # fmt: skip
        if not all(map(math.isfinite, norms.values())):
            raise FrameError("its update is too long for float32")
        far = None if judge is None else judge(norms)
        if far is not None:
            return far
        sizes = {name: float(np.abs(step).sum()) for name, step in named.items()}
        self._steering.note(frame.steering, update.rows, sizes)
        self._decoded.append((update, named))
        return tuple(named)

    def contributions(self, model: Parameters) -> list[Message]:
        """Return a reply for each client, with the model as it has moved it."""
        steps = complete([(named, update.rows) for update, named in self._decoded])
        for (update, _), step in zip(self._decoded, steps, strict=True):
            moved = model | {name: model[name] + move for name, move in step.items()}
            if self._clips:
                moved = _moved_at_all(moved, model)
            update.message.content = wire.pack_average(moved, update.rows, update.reply.loss)
        return [update.message for update, _ in self._decoded]


def sums_for(strategy: Strategy, layout: Layout, steering: RateControl) -> Sums:
    """Return what takes the updates of one step for a strategy."""
    if needs_only_mean(strategy):
        return MeanOfAll(layout, steering)
    return EachUpdate(layout, steering, clips=hasattr(strategy, "clipping_norm"))


def _moved_at_all(moved: Parameters, model: Parameters) -> Parameters:
    """Move one entry by the least there is: Flower's clipping divides by an update's length."""
    if any((moved[name] != tensor).any() for name, tensor in model.items()):
        return moved
    name = next(iter(model))
    tensor = model[name].copy()
    tensor.flat[0] += np.spacing(np.maximum(np.abs(tensor.flat[0]), np.float32(1)))
    return moved | {name: tensor}
